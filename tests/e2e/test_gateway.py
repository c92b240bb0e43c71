"""What clients meet at the gateway: the API's answers as they are, its own in the same form, and no dead process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio

from tests import gateway
from tests.e2e.processes import MASTER, Stack
from tests.ports import HOST, free_port
from tests.receiver import Answer, Receiver

MEMBERS = {"type", "title", "status", "detail", "code", "request_id", "errors"}
MIB = 1024 * 1024

Gateway = Callable[..., aiohttp.ClientSession]


@pytest.fixture
def opened() -> Generator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest_asyncio.fixture
async def in_front_of(opened: ExitStack, tmp_path: Path) -> AsyncGenerator[Gateway]:
    """Return a function that starts a gateway in front of ports, and returns a client of it."""
    sessions: list[aiohttp.ClientSession] = []

    def start(*upstreams: int) -> aiohttp.ClientSession:
        port = opened.enter_context(gateway.running(tmp_path, upstreams))
        sessions.append(aiohttp.ClientSession(f"http://{HOST}:{port}"))
        return sessions[-1]

    yield start
    for session in sessions:
        await session.close()


def port_of(receiver: Receiver) -> int:
    port = urlsplit(receiver.url()).port
    assert port is not None
    return port


async def assert_problem(answer: aiohttp.ClientResponse, status: int, code: str) -> None:
    """Make sure that the gateway answers as the API would."""
    problem = json.loads(await answer.read())
    assert answer.status == status, problem
    assert answer.content_type == "application/problem+json"
    assert problem.keys() == MEMBERS
    assert (problem["status"], problem["code"], problem["title"] != "") == (status, code, True)
    assert answer.headers.getall("x-request-id") == [problem["request_id"]]


async def test_a_body_over_the_limit_of_the_api_gets_the_answer_of_the_api(stack: Stack, in_front_of: Gateway) -> None:
    await stack.start("api")
    client = in_front_of(stack.api_port)
    headers = {"authorization": f"Bearer {MASTER}", "content-type": "application/json", "x-request-id": "mine"}

    async with client.post("/events", data=BytesIO(b"x" * (MIB + MIB // 2)), headers=headers) as answer:
        problem = await answer.json(content_type="application/problem+json")

    assert (answer.status, problem["code"], problem["request_id"]) == (413, "body_too_large", "mine")
    assert "POST /events" in problem["detail"]
    assert answer.headers.getall("x-request-id") == ["mine"]


async def test_what_nginx_refuses_is_refused_in_the_form_of_the_api(in_front_of: Gateway, receiver: Receiver) -> None:
    client = in_front_of(port_of(receiver))

    async with client.post("/events", data=BytesIO(b"x" * (3 * MIB))) as answer:
        await assert_problem(answer, 413, "body_too_large")
    async with client.get("/events", headers={"x-large": "x" * 70_000}) as answer:
        await assert_problem(answer, 400, "malformed_request")
    async with client.request("TRACE", "/events") as answer:
        await assert_problem(answer, 405, "method_not_allowed")
    async with client.get("/.problem") as answer:
        await assert_problem(answer, 404, "route_not_found")
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("given", "kept"), [("mine", True), ("x" * 128, True), ("x" * 129, False), ('a"b', False), ("a\\b", False)]
)
async def test_the_answer_of_nginx_carries_the_id_of_the_client_when_it_fits_into_json(
    in_front_of: Gateway, given: str, kept: bool
) -> None:
    client = in_front_of(free_port())

    async with client.get("/events", headers={"x-request-id": given}) as answer:
        await assert_problem(answer, 502, "unavailable")

    assert (answer.headers["x-request-id"] == given) is kept
    assert answer.headers["retry-after"] == "2"


async def test_the_api_hears_who_the_client_is_and_not_what_it_claims_to_be(
    in_front_of: Gateway, receiver: Receiver
) -> None:
    client = in_front_of(port_of(receiver))
    claims = {"x-forwarded-for": "203.0.113.1", "x-forwarded-proto": "https", "forwarded": "for=203.0.113.1"}

    async with client.get("/events?limit=1", headers={**claims, "host": "qhronos.test:8443"}) as answer:
        assert answer.status == 200

    [request] = receiver.requests
    assert request.path == "/events?limit=1"
    assert (request.headers["x-forwarded-for"], request.headers["x-forwarded-proto"]) == (HOST, "http")
    assert (request.headers["host"], "forwarded" in request.headers) == ("qhronos.test:8443", False)
    assert len(request.headers["x-request-id"]) == 32


async def test_a_process_that_cannot_be_reached_costs_no_request(in_front_of: Gateway, receiver: Receiver) -> None:
    client = in_front_of(free_port(), port_of(receiver), free_port())

    for number in range(12):
        async with client.post("/events", data=str(number)) as answer:
            assert answer.status == 200

    assert [request.body for request in receiver.requests] == [b"%d" % number for number in range(12)]


async def test_only_what_may_be_asked_twice_is_asked_again_when_a_process_dies_over_it(
    in_front_of: Gateway, receiver: Receiver
) -> None:
    async with Receiver() as dying:
        dying.answer_with(dies)
        client = in_front_of(port_of(dying), port_of(receiver))

        posts = [await status_of(client, "POST", number) for number in range(4)]
        gets = [await status_of(client, "GET", number) for number in range(4)]

    assert set(posts) == {200, 502}
    assert set(gets) == {200}
    all_requests = (*dying.requests, *receiver.requests)
    arrived = [request.headers["x-number"] for request in all_requests if request.method == "POST"]
    assert sorted(arrived) == ["0", "1", "2", "3"]


async def status_of(client: aiohttp.ClientSession, method: str, number: int) -> int:
    async with client.request(method, "/events", headers={"x-number": str(number)}) as answer:
        return answer.status


def dies(_: object) -> Answer:
    """End the connection without an answer, as a process does that is killed."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    return Answer(status=200, delay=1)
