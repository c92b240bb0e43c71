from __future__ import annotations

import aiohttp
import pytest

from services.dispatcher import sender
from services.dispatcher.request import request_of
from shared.domain.attempts import Outcome
from shared.domain.content import Method
from tests.factories import HOUR, NOON, content_of, due_of, event_of
from tests.integration.dispatcher.sending import LONG, sent
from tests.receiver import Receiver


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_2xx_is_delivered(session: aiohttp.ClientSession, receiver: Receiver, status: int) -> None:
    receiver.answer(status)

    attempt = await sent(session, receiver.url())

    assert (attempt.outcome, attempt.status_code, attempt.error) == (Outcome.DELIVERED, status, None)
    assert (attempt.number, attempt.started_at, attempt.url) == (1, NOON, receiver.url())


async def test_the_receiver_gets_the_request_as_it_was_signed(
    session: aiohttp.ClientSession, receiver: Receiver
) -> None:
    due = due_of(event_of(content_of(url=receiver.url("/a%20b?x=1&y=%20"))))
    request = request_of(due, now=NOON, secrets=["the secret of all"])

    await sender.send(session, request, due, within=LONG, started_at=NOON)

    [got] = receiver.requests
    assert (got.method, got.path, got.body) == ("POST", "/a%20b?x=1&y=%20", request.body)
    assert request.headers.items() <= got.headers.items()


@pytest.mark.parametrize(
    "path",
    [
        "/?y=%2F", "/?x=%41", "/?q=%C3%A9", "/?sig=a%3Db%26c", "/?a=b+c", "/?a=%2B", "/?x=%3A%40", "/?x=a;b",
        "/?u=http%3A%2F%2Fx%2F", "/a%2Fb", "/a%2fb", "/%7Ex", "/a/../b", "/a/./b", "/a//b/../c", "/a/b/..", "/",
    ],
)  # fmt: skip
async def test_the_url_on_the_wire_is_the_one_that_was_given(
    session: aiohttp.ClientSession, receiver: Receiver, path: str
) -> None:
    attempt = await sent(session, receiver.url(path))

    assert attempt.outcome is Outcome.DELIVERED
    assert [request.path for request in receiver.requests] == [path]


@pytest.mark.parametrize(("given", "asked_for"), [("?x=1", "/?x=1"), ("", "/"), ("/a?b#c", "/a?b"), ("#c", "/")])
async def test_a_url_without_a_path_asks_for_the_root_and_a_fragment_stays_at_home(
    session: aiohttp.ClientSession, receiver: Receiver, given: str, asked_for: str
) -> None:
    attempt = await sent(session, receiver.url("") + given)

    assert (attempt.outcome, [request.path for request in receiver.requests]) == (Outcome.DELIVERED, [asked_for])


async def test_what_is_not_ascii_is_encoded_on_the_wire(session: aiohttp.ClientSession, receiver: Receiver) -> None:
    await sent(session, receiver.url("/é?q=ü"))

    assert [request.path for request in receiver.requests] == ["/%C3%A9?q=%C3%BC"]


async def test_a_long_url_arrives_whole(session: aiohttp.ClientSession, receiver: Receiver) -> None:
    path = "/" + "a" * 2000

    await sent(session, receiver.url(path))

    assert [request.path for request in receiver.requests] == [path]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_the_method_is_the_events(session: aiohttp.ClientSession, receiver: Receiver, method: Method) -> None:
    await sent(session, receiver.url(), method=method)

    assert [request.method for request in receiver.requests] == [method]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(session: aiohttp.ClientSession, receiver: Receiver, status: int) -> None:
    receiver.answer(status, headers={"location": receiver.url("/elsewhere")})

    attempt = await sent(session, receiver.url())

    assert (attempt.outcome, attempt.status_code) == (Outcome.REDIRECT, status)
    assert [request.path for request in receiver.requests] == ["/hook"]


async def test_a_redirect_to_loopback_reaches_nobody(session: aiohttp.ClientSession, receiver: Receiver) -> None:
    async with Receiver() as inside:
        receiver.answer(307, headers={"location": inside.url()})

        assert (await sent(session, receiver.url())).outcome is Outcome.REDIRECT

        assert inside.requests == []


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(410, Outcome.GONE), (400, Outcome.HTTP_ERROR), (404, Outcome.HTTP_ERROR), (500, Outcome.HTTP_ERROR)],
)
async def test_a_refusal_is_told_by_its_status(
    session: aiohttp.ClientSession, receiver: Receiver, status: int, outcome: Outcome
) -> None:
    receiver.answer(status, body=b"because", headers={"x-why": "because"})

    attempt = await sent(session, receiver.url())

    assert (attempt.outcome, attempt.status_code, attempt.response_body) == (outcome, status, "because")
    assert attempt.response_headers is not None
    assert attempt.response_headers["x-why"] == "because"


@pytest.mark.parametrize(("status", "honoured"), [(429, True), (503, True), (500, False), (200, False)])
async def test_retry_after_is_honoured_where_it_asks_to_wait(
    session: aiohttp.ClientSession, receiver: Receiver, status: int, honoured: bool
) -> None:
    receiver.answer(status, headers={"retry-after": "3600"})

    attempt = await sent(session, receiver.url())

    assert attempt.retry_after == (HOUR if honoured else None)


async def test_cookies_are_neither_kept_nor_stored(session: aiohttp.ClientSession, receiver: Receiver) -> None:
    receiver.answer(200, headers={"set-cookie": "session=secret; Path=/"})

    attempt = await sent(session, receiver.url())
    await sent(session, receiver.url())

    assert attempt.response_headers is not None
    assert not any("secret" in value for value in attempt.response_headers.values())
    assert "cookie" not in receiver.requests[1].headers


@pytest.mark.parametrize("url", ["http://", "http://[::1/", "http://127.0.0.1:99999/", "http:///x"])
async def test_an_address_that_is_none_is_an_invalid_request(session: aiohttp.ClientSession, url: str) -> None:
    attempt = await sent(session, url)

    assert attempt.outcome is Outcome.INVALID_REQUEST
    assert attempt.error


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-broken", "a\r\nx-forged: b"), ("x-broken", "a\nb"), ("x-broken", "a\0b"), ("x-broken", "z\u0142oty"),
        ("x-broken", "\ud800"), ("x broken", "a"), ("x-broken:", "a"), ("x\r\nx-forged", "a"), ("", "a"), ("x-é", "a"),
        ("host", "other.example"), ("Content-Length", "0"), ("transfer-encoding", "chunked"), ("connection", "close"),
        ("Upgrade", "websocket"), ("te", "trailers"), ("proxy-anything", "a"), ("expect", "100-continue"),
    ],
)  # fmt: skip
async def test_a_stored_header_that_may_not_be_sent_is_an_invalid_request(
    session: aiohttp.ClientSession, receiver: Receiver, name: str, value: str
) -> None:
    attempt = await sent(session, receiver.url(), headers={"x-fine": "a", name: value})

    assert attempt.outcome is Outcome.INVALID_REQUEST
    assert attempt.error == "the request cannot be written: a header of the event may not be sent"
    assert receiver.requests == []


async def test_an_event_cannot_replace_a_header_of_the_service(
    session: aiohttp.ClientSession, receiver: Receiver
) -> None:
    await sent(session, receiver.url(), headers={"Webhook-Id": "forged", "X-Qhronos-Attempt": "7", "TraceParent": "0"})

    [request] = receiver.requests
    assert "forged" not in request.headers["webhook-id"]
    assert request.headers["x-qhronos-attempt"] == "1"
    assert request.headers["traceparent"].startswith("00-")


async def test_a_name_that_does_not_exist_is_a_network_error(session: aiohttp.ClientSession) -> None:
    attempt = await sent(session, "http://nobody.invalid/")

    assert attempt.outcome is Outcome.NETWORK_ERROR
    assert attempt.error is not None
    assert attempt.error.startswith("the host name cannot be resolved: ")


async def test_the_proxy_of_the_environment_is_not_trusted(
    session: aiohttp.ClientSession, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    assert (await sent(session, receiver.url())).outcome is Outcome.DELIVERED
