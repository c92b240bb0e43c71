"""A dispatcher that dies or freezes around its request: the test is its scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any, cast

import pytest_asyncio

from shared.domain.deliveries import ClaimedDelivery
from shared.store import attempts, deliveries
from shared.store.pool import Connection, Pool, open_pool
from shared.stream import deliveries as stream
from shared.stream.client import Redis
from tests.e2e.processes import Stack
from tests.factories import a_claimed, an_event, content_of, states_of
from tests.integration.dispatcher.world import Holding
from tests.integration.waiting import until, until_somebody_waits
from tests.receiver import Answer, Receiver


@pytest_asyncio.fixture
async def pool(stack: Stack) -> AsyncGenerator[Pool]:
    async with open_pool(stack.database_url, name="test", size=2) as pool:
        yield pool


@pytest_asyncio.fixture
async def conn(pool: Pool) -> AsyncGenerator[Connection]:
    async with pool.connection() as conn:
        yield conn


async def lease_ended(conn: Connection) -> ClaimedDelivery:
    """Let the lease of the only delivery end, and claim it again."""
    await conn.execute("UPDATE deliveries SET next_at = now() WHERE leased")
    [claim] = await deliveries.claim_due(conn, limit=1)
    return claim


async def test_a_request_whose_result_died_with_its_dispatcher_is_made_again(
    stack: Stack, receiver: Receiver, pool: Pool, conn: Connection, redis: Redis
) -> None:
    [first] = await stack.start("dispatcher")
    answer = Holding(receiver)
    event = await an_event(conn, content_of(url=receiver.url()))
    claim = await a_claimed(conn, event)
    await stream.publish(redis, [claim])
    await receiver.wait_for(1)
    async with pool.connection() as other, other.transaction():
        await other.execute("SELECT FROM deliveries FOR UPDATE")
        answer.let_go()
        await until_somebody_waits(other)  # the answer is there and its result about to be written

        first.signal(SIGKILL)
        assert await first.ended() == -SIGKILL

    assert await states_of(conn, event.id) == {claim.occurrence_id: "queued"}
    await stack.start("dispatcher")
    await stream.publish(redis, [await lease_ended(conn)])
    await until(lambda: is_delivered(conn, claim))
    assert [request.headers["webhook-id"] for request in receiver.requests] == [str(claim.occurrence_id)] * 2


async def test_a_dispatcher_that_was_frozen_for_longer_than_its_lease_changes_nothing_when_it_wakes(
    stack: Stack, receiver: Receiver, conn: Connection, redis: Redis
) -> None:
    let_go = asyncio.Event()

    async def answer(_: object) -> Answer:
        if len(receiver.requests) == 1:
            await let_go.wait()
            return Answer(status=410)
        return Answer(status=200)

    receiver.answer_with(answer)
    [frozen] = await stack.start("dispatcher")
    event = await an_event(conn, content_of(url=receiver.url(), timeout="PT60S"))
    claim = await a_claimed(conn, event)
    await stream.publish(redis, [claim])
    await receiver.wait_for(1)
    frozen.signal(SIGSTOP)
    try:
        await until(lambda: nobody_reads(redis))  # else the next message goes to the one that is frozen
        await stack.start("dispatcher")
        await stream.publish(redis, [await lease_ended(conn)])
        await until(lambda: is_delivered(conn, claim))
        let_go.set()
    finally:
        frozen.signal(SIGCONT)

    async def is_told() -> bool:
        return len(await attempts.of_occurrence(conn, claim.occurrence_id, before=None, limit=10)) == 2

    await until(is_told)
    made = await attempts.of_occurrence(conn, claim.occurrence_id, before=None, limit=10)
    assert {attempt.epoch: attempt.stale for attempt in made} == {claim.epoch: True, claim.epoch + 1: False}
    cursor = await conn.execute("SELECT status, attempt_count FROM occurrences")
    assert await cursor.fetchall() == [("delivered", 1)]
    cursor = await conn.execute("SELECT status FROM events")
    assert await cursor.fetchall() == [("completed",)]  # and not disabled by the late 410
    assert len(receiver.requests) == 2


async def is_delivered(conn: Connection, claim: ClaimedDelivery) -> bool:
    return (await states_of(conn, claim.event_id)).get(claim.occurrence_id) == "delivered"


async def nobody_reads(redis: Redis) -> bool:
    """Tell whether no client waits for a message, as far as Redis knows."""
    clients = cast("dict[str, int]", await cast("Any", redis).info("clients"))
    return clients["blocked_clients"] == 0
