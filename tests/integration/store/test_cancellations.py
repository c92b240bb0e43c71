from __future__ import annotations

import asyncio

import pytest

from shared.domain.deliveries import Retried
from shared.store import cancellations, deliveries, occurrences
from shared.store.cancellations import Cancelled
from shared.store.pool import Connection, Pool
from shared.store.sight import EVERYTHING
from tests.factories import MINUTE, NOON, a_claimed, a_waiting, an_event, held_by, states_of
from tests.integration.waiting import until_blocked


async def test_a_waiting_delivery_becomes_a_record(conn: Connection) -> None:
    event = await an_event(conn)
    waiting = await a_waiting(conn, event)

    assert await cancellations.cancel(conn, waiting.occurrence_id, reason="requested") == Cancelled(NOON, False)

    found = await occurrences.get(conn, waiting.occurrence_id, sight=EVERYTHING)
    assert (found.status, found.status_reason, found.attempt_count) == ("cancelled", "requested", 0)
    assert await cancellations.cancel(conn, waiting.occurrence_id, reason="requested") is None


async def test_a_chains_head_leads_it_until_it_is_claimed(conn: Connection) -> None:
    event = await an_event(conn)
    claimed = await a_waiting(conn, event, NOON, chained=True)
    await deliveries.claim_due(conn, limit=1)
    head = await a_waiting(conn, event, NOON + MINUTE, chained=True)

    assert await cancellations.cancel(conn, head.occurrence_id, reason="requested") == Cancelled(NOON + MINUTE, True)
    assert await cancellations.cancel(conn, claimed.occurrence_id, reason="requested") == Cancelled(NOON, False)


async def test_a_retrying_one_is_cancelled_with_its_attempts(conn: Connection) -> None:
    claim = await a_claimed(conn, await an_event(conn))
    await deliveries.begin(conn, [held_by(claim)])
    await deliveries.retry(conn, [Retried(claim.occurrence_id, claim.epoch, MINUTE)])

    await cancellations.cancel(conn, claim.occurrence_id, reason="requested")

    found = await occurrences.get(conn, claim.occurrence_id, sight=EVERYTHING)
    assert (found.status, found.attempt_count) == ("cancelled", 1)


async def test_what_is_cancelled_does_not_begin(conn: Connection) -> None:
    claim = await a_claimed(conn, await an_event(conn))

    await cancellations.cancel(conn, claim.occurrence_id, reason="requested")

    assert await deliveries.begin(conn, [held_by(claim)]) == []


async def test_what_has_begun_is_not_cancelled(conn: Connection) -> None:
    event = await an_event(conn)
    claim = await a_claimed(conn, event)
    await deliveries.begin(conn, [held_by(claim)])

    assert await cancellations.cancel(conn, claim.occurrence_id, reason="requested") is None
    assert await states_of(conn, event.id) == {claim.occurrence_id: "queued"}


@pytest.mark.parametrize("begins", [True, False], ids=["begin first", "cancel first"])
async def test_of_a_begin_and_a_cancel_at_once_one_wins(pool: Pool, conn: Connection, begins: bool) -> None:
    event = await an_event(conn)
    claim = await a_claimed(conn, event)

    async def begin(on: Connection) -> bool:
        return bool(await deliveries.begin(on, [held_by(claim)]))

    async def cancel(on: Connection) -> bool:
        return await cancellations.cancel(on, claim.occurrence_id, reason="requested") is not None

    first, second = (begin, cancel) if begins else (cancel, begin)
    async with pool.connection() as one, pool.connection() as other:
        async with one.transaction():
            assert await first(one)
            late = asyncio.create_task(second(other))
            await until_blocked(one, other)
        assert not await late

    assert await states_of(conn, event.id) == {claim.occurrence_id: "queued" if begins else "cancelled"}
