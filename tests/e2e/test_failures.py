"""What dies, is flushed or is stopped costs some delay and never a delivery."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any, cast

import psycopg
import pytest

from deploy.local.postgres import Postgres
from shared.store import deliveries
from shared.store.pool import open_pool
from shared.stream import deliveries as stream
from shared.stream.client import Redis, ResponseError
from tests import servers
from tests.benchmarks import loading
from tests.e2e.processes import Process, Stack
from tests.factories import DAY, SECOND, utc_now
from tests.integration.waiting import until
from tests.patience import PATIENCE
from tests.receiver import Answer, Receiver, Request
from tests.servers import Databases, migrate

LEASE = 60


def ids_of(requests: list[Request]) -> list[str]:
    return [request.headers["webhook-id"] for request in requests]


async def test_a_delivery_that_died_with_its_dispatcher_is_made_again_by_another(
    stack: Stack, receiver: Receiver
) -> None:
    [_, _, first] = await stack.start("api", "scheduler", "dispatcher")
    held, good = Answer(status=200, delay=LEASE), Answer(status=200)
    receiver.answer_with(lambda _: held if len(receiver.requests) == 1 else good)
    event = await stack.create(in_="PT0.1S", webhook_url=receiver.url(), timeout="PT60S")
    await receiver.wait_for(1)

    first.signal(SIGKILL)
    assert await first.ended() == -SIGKILL
    await stack.start("dispatcher")
    # The request may be on the wire, so nobody takes the claim over before its lease ends: let it end now.
    async with await psycopg.AsyncConnection.connect(stack.database_url, autocommit=True) as conn:
        await conn.execute("UPDATE deliveries SET next_at = now() WHERE leased")
    requests = await receiver.wait_for(2)

    occurrence_id = await stack.occurrence_of(event)
    assert ids_of(requests) == [occurrence_id, occurrence_id]
    assert requests[0].at < requests[1].at
    occurrence = await stack.occurrence_as(occurrence_id, "delivered")
    assert occurrence["attempt_count"] == 1


async def test_what_a_dead_dispatcher_had_not_begun_is_made_once_by_another_before_the_lease_ends(
    stack: Stack, receiver: Receiver, redis: Redis
) -> None:
    [_, first] = await stack.start("api", "dispatcher")
    event = await stack.create(in_="PT1H", webhook_url=receiver.url())
    async with open_pool(stack.database_url, name="test", size=1) as pool, pool.connection() as conn:
        # As a scheduler would, but with a lease that does not run out meanwhile.
        await stream.publish(redis, await deliveries.claim_due(conn, limit=1, horizon=DAY, lease=DAY))
        await until(lambda: is_read(redis))

        first.signal(SIGKILL)
        assert await first.ended() == -SIGKILL
        await conn.execute("UPDATE deliveries SET due_at = now()")
    assert receiver.requests == []
    await stack.start("dispatcher", "scheduler")
    await receiver.wait_for(1)

    occurrence_id = await stack.occurrence_of(event)
    await stack.occurrence_as(occurrence_id, "delivered")
    assert ids_of(receiver.requests) == [occurrence_id]


async def is_read(redis: Redis) -> bool:
    """Tell whether a dispatcher has read a message and not yet forgotten it."""
    with contextlib.suppress(ResponseError):  # the group is made by the first dispatcher that reads
        return bool((await cast("Any", redis).xpending(stream.STREAM, stream.GROUP))["pending"])
    return False


async def test_a_dispatcher_that_is_asked_to_stop_makes_no_duplicate_and_leaves_nothing_undone(
    stack: Stack, receiver: Receiver
) -> None:
    [_, _, first, _] = await stack.start("api", "scheduler", "dispatcher", "dispatcher")
    receiver.answer(200, delay=0.4)
    begin, gap = utc_now() + SECOND, timedelta(milliseconds=50)
    await asyncio.to_thread(loading.events_due, stack.database_url, [receiver.url()], count=60, due_at=begin, gap=gap)
    await receiver.wait_for(20)

    first.signal(SIGTERM)
    assert await first.ended() == 0
    await receiver.wait_for(60)

    expected = [occurrence["id"] for occurrence in (await stack.read("/occurrences?limit=200"))["data"]]
    finished = [await stack.occurrence_as(occurrence_id, "delivered") for occurrence_id in expected]
    assert sorted(ids_of(receiver.requests)) == sorted(expected)
    assert {occurrence["attempt_count"] for occurrence in finished} == {1}


async def test_a_flushed_redis_loses_no_delivery(stack: Stack, receiver: Receiver, redis_url: str) -> None:
    await stack.start("api", "scheduler", "dispatcher")
    first = await stack.create(in_="PT0.1S", webhook_url=receiver.url("/first"))
    await receiver.wait_for(1)
    second = await stack.create(in_="PT3S", webhook_url=receiver.url("/second"))

    servers.flush(redis_url)
    # Where the message was lost before anybody read it, its lease must end first.
    requests = await receiver.wait_for(2, within=LEASE + PATIENCE)

    assert ids_of(requests) == [await stack.occurrence_of(event) for event in (first, second)]
    await stack.occurrence_as(ids_of(requests)[1], "delivered")


async def test_no_service_starts_on_an_old_schema_and_each_says_what_to_do(
    databases: Databases, redis_url: str, tmp_path: Path
) -> None:
    async with Stack(databases.create_empty(), redis_url, tmp_path) as stack:
        processes = [stack.launch(name) for name in ("api", "scheduler", "dispatcher")]

        codes = [await process.ended() for process in processes]

    assert codes == [1, 1, 1]
    assert [says_what_to_do(process) for process in processes] == [True, True, True]


def says_what_to_do(process: Process) -> bool:
    return "python -m migrations" in process.text() and "Traceback" not in process.text()


@pytest.fixture
def postgres() -> Any:
    with servers.scratch_folder() as folder, Postgres(folder / "postgres", durable=False) as server:
        migrate(server.url())
        yield server


async def test_the_api_answers_503_while_postgresql_is_away_and_recovers_by_itself(
    postgres: Postgres, redis_url: str, tmp_path: Path
) -> None:
    async with Stack(postgres.url(), redis_url, tmp_path) as stack:
        [api] = await stack.start("api")
        assert (await stack.read("/events"))["data"] == []

        postgres.stop()
        async with stack.request("GET", "/events") as answer:
            problem = await answer.json(content_type="application/problem+json")
            assert (answer.status, problem["code"]) == (503, "unavailable")
            assert int(answer.headers["retry-after"]) >= 1
        async with stack.request("GET", "/ready") as answer:
            state = await answer.json()
            assert (answer.status, state["postgres"], state["redis"]) == (503, "unreachable", "ok")
        assert await stack.read("/health") == {"status": "ok"}

        postgres.start()
        await api.ready()
        assert (await stack.read("/events"))["data"] == []
