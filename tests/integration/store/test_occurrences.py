from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from shared.domain.deliveries import Finished, Retried
from shared.domain.events import Event
from shared.domain.ids import OccurrenceId
from shared.errors import NotFound
from shared.store import cancellations, deliveries, occurrences, planned_deliveries
from shared.store.pool import Connection
from shared.store.sight import Sight
from tests.factories import DAY, HOUR, MINUTE, NOON, a_claimed, a_waiting, an_event, content_of, planned_of, utc_now

EVERY = Sight(every=True)


async def finished(conn: Connection, event: Event, *, ago: timedelta) -> OccurrenceId:
    claim = await a_claimed(conn, event, utc_now() - ago)
    await deliveries.finish(conn, [Finished(claim.occurrence_id, claim.epoch, "delivered", None, 1)])
    return claim.occurrence_id


class TestView:
    async def test_a_waiting_delivery_is_scheduled(self, conn: Connection) -> None:
        waiting = await a_waiting(conn, await an_event(conn))

        found = await occurrences.get(conn, waiting.occurrence_id, sight=EVERY)

        assert (found.status, found.attempt_count, found.next_attempt_at) == ("scheduled", 0, NOON)
        assert (found.scheduled_at, found.recurrence_id) == (NOON, waiting.recurrence_id)

    async def test_a_claimed_delivery_is_queued(self, conn: Connection) -> None:
        claim = await a_claimed(conn, await an_event(conn))

        found = await occurrences.get(conn, claim.occurrence_id, sight=EVERY)

        assert (found.status, found.next_attempt_at) == ("queued", claim.due_at)

    async def test_a_failed_delivery_is_retrying_also_while_it_is_claimed(self, conn: Connection) -> None:
        claim = await a_claimed(conn, await an_event(conn))
        await deliveries.retry(conn, [Retried(claim.occurrence_id, claim.epoch, MINUTE)])

        waits = await occurrences.get(conn, claim.occurrence_id, sight=EVERY)
        await deliveries.claim_due(conn, limit=1, horizon=HOUR)
        claimed = await occurrences.get(conn, claim.occurrence_id, sight=EVERY)

        assert (waits.status, claimed.status) == ("retrying", "retrying")
        assert waits.next_attempt_at is not None
        assert waits.next_attempt_at > claim.due_at

    async def test_a_finished_delivery_has_no_next_attempt(self, conn: Connection) -> None:
        id_ = await finished(conn, await an_event(conn), ago=MINUTE)

        found = await occurrences.get(conn, id_, sight=EVERY)

        assert (found.status, found.attempt_count, found.next_attempt_at) == ("delivered", 1, None)
        assert found.delivered_at is not None

    async def test_a_record_without_a_partition_of_its_own_is_kept(self, conn: Connection) -> None:
        id_ = await finished(conn, await an_event(conn), ago=20_000 * HOUR)

        cursor = await conn.execute("SELECT id FROM occurrences_default")
        assert await cursor.fetchall() == [(id_,)]


class TestGet:
    async def test_what_is_out_of_sight_is_not_found(self, conn: Connection) -> None:
        event = await an_event(conn, msgspec.structs.replace(content_of(), tags=("user:alice",)))
        waiting = (await a_waiting(conn, event)).occurrence_id

        assert (await occurrences.get(conn, waiting, sight=Sight(prefixes=["user:"]))).id == waiting
        with pytest.raises(NotFound):
            await occurrences.get(conn, waiting, sight=Sight(tags=["user:bob"]))

    async def test_an_unknown_occurrence_is_not_found(self, conn: Connection) -> None:
        with pytest.raises(NotFound):
            await occurrences.get(conn, planned_of(await an_event(conn)).occurrence_id, sight=EVERY)


class TestCancelledAfter:
    async def test_those_to_come_are_found_also_when_they_were_moved(self, conn: Connection) -> None:
        event = await an_event(conn)
        past, coming = (planned_of(event, utc_now() + days * DAY) for days in (-1, 1))
        moved = msgspec.structs.replace(planned_of(event, utc_now() - HOUR), scheduled_at=utc_now() + HOUR)
        waiting = planned_of(event, utc_now() + MINUTE)
        await planned_deliveries.insert(conn, [past, coming, moved, waiting])
        for each in (past, coming, moved):
            await cancellations.cancel(conn, each.occurrence_id, reason="requested")

        found = await occurrences.cancelled_after(conn, [event.id])

        assert found == {event.id: {coming.recurrence_id, moved.recurrence_id}}
        assert await occurrences.cancelled_after(conn, [event.id], after=utc_now() + 2 * DAY) == {}
        assert past.recurrence_id in (await occurrences.cancelled_after(conn, [event.id], after=NOON))[event.id]
