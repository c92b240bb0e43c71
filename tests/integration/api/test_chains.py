"""An agent that schedules itself without end is stopped, and told what to delete; nobody else notices."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Any
from uuid import UUID

import httpx
import msgspec
import psycopg
import pytest
import pytest_asyncio
from litestar.types import ASGIApp

from services.api import app as application
from services.api.context import Context
from shared.store import creations, deliveries
from shared.store.pool import Connection, Pool
from shared.stream.client import Redis
from tests.integration.api.client import (
    MASTER,
    Api,
    Json,
    assert_problem,
    event_body,
    ids,
    in_seconds,
    settings_of_tests,
)
from tests.integration.dispatcher.world import LOOPBACK, World
from tests.integration.waiting import until
from tests.receiver import Receiver

MOST = 3
SOME_CHAIN = "01a20ed0e62179f59ce6de4d6480a891"


@pytest.fixture
def app(pool: Pool, redis: Redis) -> ASGIApp:
    config = msgspec.structs.replace(settings_of_tests(), quota_chain_events=MOST, egress_allow=LOOPBACK)
    return application.build(Context(config, pool, redis))


@pytest.fixture
def api(app: ASGIApp) -> Api:
    return Api(app, MASTER)


@pytest_asyncio.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


async def create(api: Api, chain: str = SOME_CHAIN, **fields: object) -> httpx.Response:
    """Create an event as an agent does that handles a webhook of a chain."""
    return await api.http.post("/events", json=event_body(**fields), headers={"tracestate": f"qhronos={chain}"})


async def batch(api: Api, number: int) -> httpx.Response:
    body = {"events": [event_body() for _ in range(number)]}
    return await api.http.post("/events/batch", json=body, headers={"tracestate": f"qhronos={SOME_CHAIN}"})


async def made(api: Api, number: int) -> list[Json]:
    """Return events that a chain created, the oldest first."""
    answers = [await create(api) for _ in range(number)]
    assert [answer.status_code for answer in answers] == [201] * number
    return [answer.json() for answer in answers]


async def chains_of(conn: Connection) -> list[UUID | None]:
    """Return the chain of every event, the oldest event first."""
    cursor = await conn.execute("SELECT chain_id FROM events ORDER BY created_at")
    return [row[0] for row in await cursor.fetchall()]


def named(errors: Sequence[Json]) -> list[str]:
    """Return the ids of the events that a refusal tells to delete."""
    assert all(error["pointer"] == "tracestate" and error["message"] for error in errors)
    return [error["hint"].removeprefix("DELETE /events/") for error in errors]


async def test_what_the_handlers_of_webhooks_create_is_one_chain_over_generations_until_it_is_enough(
    api: Api, conn: Connection, pool: Pool, redis: Redis, redis_url: str, receiver: Receiver
) -> None:
    """Each handler passes on the trace of its webhook with the call that schedules the next one, and knows no more."""
    world = World(pool, redis, redis_url, conn)
    due_now = {"webhook_url": receiver.url(), "start_time": in_seconds(-1)}
    beginning = await api.create(**due_now)
    answers: list[httpx.Response] = []
    async with world.running():
        for number in range(1, MOST + 2):
            await world.publish(*await deliveries.claim_due(conn, limit=10))
            webhook = (await receiver.wait_for(number, within=30))[-1]
            passed_on = {name: webhook.headers[name] for name in ("traceparent", "tracestate")}
            answers.append(await api.http.post("/events", json=event_body(**due_now), headers=passed_on))

    *created, refused = answers
    told = [json.loads(webhook.body)["event_id"] for webhook in receiver.requests]
    assert told == [beginning["id"], *ids([answer.json() for answer in created])]
    assert await chains_of(conn) == [None, *[UUID(beginning["id"])] * MOST]
    assert_problem(refused, 429, "quota_exceeded")
    assert beginning["id"] in refused.json()["detail"]


async def test_the_refusal_says_how_many_there_are_until_when_and_what_goes_on(api: Api) -> None:
    beginning = await api.create(name="Plan the day")
    chain = UUID(beginning["id"]).hex
    members = [(await create(api, chain)).json() for _ in range(MOST)]

    answer = await create(api, chain)

    errors = assert_problem(answer, 429, "quota_exceeded")
    assert f"have created {MOST} events in the last 24 hours, of at most {MOST}" in answer.json()["detail"]
    assert 86_000 < int(answer.headers["retry-after"]) <= 86_400
    assert named(errors) == [beginning["id"], *reversed(ids(members))]
    assert errors[0]["message"] == f'The event {beginning["id"]}, "Plan the day", began this chain and is active.'


async def test_what_is_deleted_or_completed_counts_but_is_not_to_be_deleted(api: Api, conn: Connection) -> None:
    first, second, third = await made(api, MOST)
    await api.http.delete(f"/events/{first['id']}")
    await conn.execute("UPDATE events SET status = 'completed' WHERE id = %s", [second["id"]])
    await api.http.post(f"/events/{third['id']}/pause")

    assert named(assert_problem(await create(api), 429, "quota_exceeded")) == [third["id"]]


async def test_a_batch_counts_with_all_of_its_events_and_leaves_none_when_they_are_too_many(
    api: Api, conn: Connection
) -> None:
    assert (await batch(api, 1)).status_code == 201

    assert_problem(await batch(api, MOST), 429, "quota_exceeded")
    assert len(await chains_of(conn)) == 1
    assert (await batch(api, MOST - 1)).status_code == 201


async def test_a_day_later_there_is_room_for_as_many_as_have_left_the_day(api: Api, conn: Connection) -> None:
    for event, hours in zip(await made(api, MOST), (23, 14, 1), strict=True):
        await conn.execute(
            "UPDATE events SET created_at = created_at - %s * interval '1 hour' WHERE id = %s", [hours, event["id"]]
        )

    for number, hours in ((1, 1), (2, 10), (3, 23), (4, 24)):
        retry_after = int((await batch(api, number)).headers["retry-after"])
        assert hours * 3600 - 120 < retry_after <= hours * 3600
    await conn.execute("UPDATE events SET created_at = created_at - interval '1 hour'")
    assert (await batch(api, 2)).status_code == 429
    assert (await batch(api, 1)).status_code == 201


async def test_twenty_creates_at_once_do_not_pass_the_quota(api: Api, conn: Connection) -> None:
    answers = await asyncio.gather(*(create(api) for _ in range(10)), *(batch(api, 2) for _ in range(10)))

    assert {answer.status_code for answer in answers} == {201, 429}
    assert MOST - 1 <= len(await chains_of(conn)) <= MOST


async def test_what_one_request_is_writing_is_counted_by_the_next(api: Api, conn: Connection) -> None:
    await made(api, MOST - 1)

    async def both_wait() -> bool:
        await conn.execute("SELECT pg_stat_clear_snapshot()")
        cursor = await conn.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return await cursor.fetchone() == (2,)

    async with asyncio.TaskGroup() as group, conn.transaction():
        await conn.execute("LOCK TABLE events IN SHARE MODE")  # whoever counts may read it, but not write
        answers = [group.create_task(create(api)) for _ in range(2)]
        await until(both_wait)

    assert sorted(answer.result().status_code for answer in answers) == [201, 429]


async def test_a_chain_that_is_full_is_in_nobody_elses_way(api: Api) -> None:
    alice, bob = [await api.limited_to("write", "*", sub=sub) for sub in ("alice", "bob")]
    beginning = await alice.create()
    chain = UUID(beginning["id"]).hex
    for _ in range(MOST):
        assert (await create(alice, chain)).status_code == 201

    assert_problem(await create(alice, chain), 429)
    assert (await create(alice, SOME_CHAIN)).status_code == 201
    await alice.create()
    of_bob = [(await create(bob, chain)).json() for _ in range(MOST)]
    errors = assert_problem(await create(bob, chain), 429)
    assert named(errors) == list(reversed(ids(of_bob)))  # and nothing about the event of alice that began it


async def test_what_is_out_of_the_tokens_scope_is_counted_but_not_named(api: Api) -> None:
    wide, narrow = [await api.limited_to("write", scope, sub="alice") for scope in ("*", "team:red")]
    beginning = await wide.create(tags=["team:blue"])
    chain = UUID(beginning["id"]).hex
    red, *_ = [(await create(wide, chain, tags=[tag])).json() for tag in ("team:red", "team:blue", "team:blue")]

    assert named(assert_problem(await create(narrow, chain, tags=["team:red"]), 429)) == [red["id"]]


async def test_a_repeated_request_gets_its_first_answer_and_is_not_counted_again(api: Api) -> None:
    headers = {"tracestate": f"qhronos={SOME_CHAIN}", "idempotency-key": SOME_CHAIN}
    answers = [await api.http.post("/events", json=event_body(), headers=headers) for _ in range(MOST + 1)]

    assert [answer.status_code for answer in answers] == [201] * (MOST + 1)
    await made(api, MOST - 1)
    assert_problem(await create(api), 429)


@pytest.mark.parametrize(
    ("tracestates", "chain"),
    [
        ([f"rojo=1, qhronos={SOME_CHAIN}"], UUID(SOME_CHAIN)),
        (["rojo=1", f"qhronos={SOME_CHAIN}"], UUID(SOME_CHAIN)),
        ([], None),
        ([""], None),
        (["qhronos=what"], None),
        (["\xff=\xfe,;\x7f" + "," * 5000], None),
    ],
)
async def test_any_tracestate_is_good_and_the_event_is_of_the_chain_that_it_names(
    api: Api, conn: Connection, tracestates: list[str], chain: UUID | None
) -> None:
    headers = [(b"tracestate", value.encode("latin-1")) for value in tracestates]

    answer = await api.http.post("/events", json=event_body(), headers=headers)

    assert answer.status_code == 201
    assert await chains_of(conn) == [chain]


async def test_without_a_chain_creating_is_one_statement_as_ever(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    execute = psycopg.AsyncConnection.execute

    async def listen(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        said.append(query)
        return await execute(self, query, *args, **options)

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", listen)
    for headers in ({}, {"tracestate": "qhronos=what"}):
        await api.http.post("/events", json=event_body(), headers=headers)

    assert said == [creations.INSERT] * 2
    await create(api)
    assert len(said) > 3
    assert re.search("pg_advisory_xact_lock", said[2])
