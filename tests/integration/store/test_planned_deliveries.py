from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from shared.domain.content import Json
from shared.domain.epochs import epoch_before_first_claim
from shared.store import deliveries, planned_deliveries
from shared.store.pool import Connection
from tests.factories import (
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    a_claimed,
    a_waiting,
    an_event,
    event_of,
    held_by,
    planned_of,
    states_of,
    utc_now,
)
from tests.integration.store.stations import a_begun, ended, failed, row_of

MICROSECOND = timedelta(microseconds=1)


class TestInsert:
    async def test_what_is_planned_is_stored_to_the_letter(self, conn: Connection) -> None:
        metadata: dict[str, Json] = {"whole": 2**64 - 1, "point": 1.0, "text": 'a "b" \\ é 🪴', "nothing": [None, {}]}
        planned = msgspec.structs.replace(
            planned_of(event_of(), NOON + MICROSECOND, chained=True),
            event_version=7,
            destination=-(2**63),
            due_at=NOON + HOUR + MICROSECOND,
            catch_up=True,
            missed_count=3,
            metadata=metadata,
        )
        await planned_deliveries.insert(conn, [planned])

        cursor = await conn.execute("""
            SELECT occurrence_id, event_id, event_version, scheduled_at, recurrence_id, destination, chained, metadata,
                   due_at, catch_up, missed_count, next_at, epoch
              FROM deliveries
        """)
        [(*stored, next_at, epoch)] = await cursor.fetchall()
        raw = msgspec.structs.replace(planned, metadata=msgspec.json.encode(metadata))
        assert tuple(stored) == msgspec.structs.astuple(raw)
        assert (next_at, epoch) == (planned.due_at, epoch_before_first_claim(7))

    async def test_a_new_delivery_waits_for_its_time(self, conn: Connection) -> None:
        planned = planned_of(event_of())

        assert await planned_deliveries.insert(conn, [planned]) == {planned.occurrence_id}
        assert await states_of(conn, planned.event_id) == {planned.occurrence_id: "scheduled"}

    async def test_inserting_twice_changes_nothing(self, conn: Connection) -> None:
        planned = await a_waiting(conn, event_of())
        before = await row_of(conn, planned.occurrence_id)

        again = msgspec.structs.replace(planned, scheduled_at=NOON + HOUR, event_version=2)

        assert await planned_deliveries.insert(conn, [again]) == set()
        assert await row_of(conn, planned.occurrence_id) == before

    async def test_what_has_finished_is_not_inserted_again(self, conn: Connection) -> None:
        event = event_of()
        planned = await a_waiting(conn, event)
        [claim] = await deliveries.claim_due(conn, now=NOON, limit=1)
        await deliveries.finish(conn, [ended(claim)])

        other = planned_of(event, NOON + HOUR)

        assert await planned_deliveries.insert(conn, [planned, other]) == {other.occurrence_id}
        assert await states_of(conn, event.id) == {
            planned.occurrence_id: "delivered",
            other.occurrence_id: "scheduled",
        }

    async def test_nothing_can_be_inserted(self, conn: Connection) -> None:
        assert await planned_deliveries.insert(conn, []) == set()


class TestCancelOfEvent:
    async def test_what_waits_is_cancelled_with_a_record(self, conn: Connection) -> None:
        event, neighbour = event_of(), event_of()
        waiting = await a_waiting(conn, event, utc_now() + HOUR)
        beside = await a_waiting(conn, neighbour, utc_now() + HOUR)

        await planned_deliveries.cancel_of_event(conn, event.id, reason="event_deleted")

        assert await states_of(conn, event.id) == {waiting.occurrence_id: "cancelled"}
        assert await states_of(conn, neighbour.id) == {beside.occurrence_id: "scheduled"}
        cursor = await conn.execute("SELECT status_reason, attempt_count FROM occurrences")
        assert await cursor.fetchall() == [("event_deleted", 0)]

    async def test_what_may_be_on_the_wire_is_left(self, conn: Connection) -> None:
        event = await an_event(conn)
        claim = await a_begun(conn, event)

        await planned_deliveries.cancel_of_event(conn, event.id, reason="event_deleted")

        assert await states_of(conn, event.id) == {claim.occurrence_id: "queued"}
        assert len(await deliveries.finish(conn, [ended(claim)])) == 1

    @pytest.mark.parametrize("due_in", [-SECOND, HOUR])
    async def test_what_is_claimed_and_has_not_begun_is_cancelled(self, conn: Connection, due_in: timedelta) -> None:
        event = await an_event(conn)
        claim = await a_claimed(conn, event, utc_now() + due_in)

        await planned_deliveries.cancel_of_event(conn, event.id, reason="event_deleted")

        assert await states_of(conn, event.id) == {claim.occurrence_id: "cancelled"}
        assert await deliveries.begin(conn, [held_by(claim)]) == []

    async def test_a_waiting_retry_is_cancelled_and_keeps_its_attempts(self, conn: Connection) -> None:
        event = event_of()
        claim = await a_claimed(conn, event)
        await deliveries.retry(conn, [failed(claim)])

        await planned_deliveries.cancel_of_event(conn, event.id, reason="event_deleted")

        cursor = await conn.execute("SELECT id, status, attempt_count FROM occurrences")
        assert await cursor.fetchall() == [(claim.occurrence_id, "cancelled", 1)]


class TestUnplan:
    @pytest.mark.parametrize("overdue", [True, False])
    async def test_what_waits_is_dropped_without_a_record(self, conn: Connection, overdue: bool) -> None:
        event = event_of()
        await a_waiting(conn, event, utc_now() + HOUR)

        after = await planned_deliveries.unplan(conn, event.id, overdue=overdue)

        assert await states_of(conn, event.id) == {}
        assert abs(after - utc_now()) < MINUTE

    async def test_what_is_claimed_and_has_not_begun_is_dropped(self, conn: Connection) -> None:
        event = await an_event(conn)
        claim = await a_claimed(conn, event, utc_now() + HOUR)

        await planned_deliveries.unplan(conn, event.id, overdue=False)

        assert await states_of(conn, event.id) == {}
        assert await deliveries.begin(conn, [held_by(claim)]) == []

    async def test_what_is_overdue_is_dropped_when_asked_for(self, conn: Connection) -> None:
        event = event_of()
        await a_waiting(conn, event, utc_now() - HOUR)

        await planned_deliveries.unplan(conn, event.id, overdue=True)

        assert await states_of(conn, event.id) == {}

    async def test_what_is_overdue_is_else_delivered_and_plans_nothing_any_more(self, conn: Connection) -> None:
        event = event_of()
        waiting = await a_waiting(conn, event, utc_now() - HOUR, chained=True)

        await planned_deliveries.unplan(conn, event.id, overdue=False)

        [claim] = await deliveries.claim_due(conn, limit=1)
        assert (claim.occurrence_id, claim.chained) == (waiting.occurrence_id, False)

    @pytest.mark.parametrize("due_in", [-HOUR, -SECOND])
    async def test_what_is_overdue_and_claimed_is_left_to_its_dispatcher(
        self, conn: Connection, due_in: timedelta
    ) -> None:
        event = await an_event(conn)
        claim = await a_claimed(conn, event, utc_now() + due_in)

        await planned_deliveries.unplan(conn, event.id, overdue=False)

        assert [due.occurrence_id for due in await deliveries.begin(conn, [held_by(claim)])] == [claim.occurrence_id]

    async def test_what_has_begun_is_left_and_planning_goes_on_behind_it(self, conn: Connection) -> None:
        event = await an_event(conn)
        claim = await a_begun(conn, event)

        after = await planned_deliveries.unplan(conn, event.id, overdue=True)

        assert await states_of(conn, event.id) == {claim.occurrence_id: "queued"}
        assert after >= claim.scheduled_at

    async def test_a_retry_and_a_trigger_are_no_plan(self, conn: Connection) -> None:
        event = event_of()
        claim = await a_claimed(conn, event)
        await deliveries.retry(conn, [failed(claim)])
        trigger = msgspec.structs.replace(planned_of(event, utc_now() + HOUR), recurrence_id=None)
        await planned_deliveries.insert(conn, [trigger])

        await planned_deliveries.unplan(conn, event.id, overdue=True)

        assert (await states_of(conn, event.id)).keys() == {claim.occurrence_id, trigger.occurrence_id}

    async def test_a_delivery_planned_anew_never_meets_an_epoch_of_the_old_one(self, conn: Connection) -> None:
        event = event_of()
        old = await a_claimed(conn, event, utc_now() + HOUR)
        await planned_deliveries.unplan(conn, event.id, overdue=False)
        changed = msgspec.structs.replace(event, version=2)
        await planned_deliveries.insert(conn, [planned_of(changed, old.scheduled_at)])

        [new] = await deliveries.claim_due(conn, limit=1, horizon=2 * HOUR)

        assert new.occurrence_id == old.occurrence_id
        assert new.epoch > old.epoch
        assert await deliveries.finish(conn, [ended(old)]) == {}


async def test_an_event_has_live_deliveries_or_none(conn: Connection) -> None:
    event = event_of()
    claim = await a_claimed(conn, event)

    assert await planned_deliveries.any_of_event(conn, event.id)
    await deliveries.finish(conn, [ended(claim)])
    assert not await planned_deliveries.any_of_event(conn, event.id)
