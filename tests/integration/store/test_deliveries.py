from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from shared.domain.deliveries import ClaimedDelivery, Finished, Held, Retried
from shared.domain.epochs import epoch_before_first_claim, is_first_claim
from shared.domain.events import Event
from shared.domain.ids import EventId, OccurrenceId
from shared.domain.secrets import EventSecrets, PreviousSecret
from shared.store import deliveries, events, secrets
from shared.store.deliveries import HORIZON, LEASE
from shared.store.pool import Connection, Pool
from tests.factories import (
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    a_claimed,
    a_waiting,
    an_event,
    content_of,
    event_of,
    held_by,
    planned_of,
    states_of,
    utc_now,
)
from tests.integration.waiting import until_blocked

MICROSECOND = timedelta(microseconds=1)
NOTHING = timedelta(0)


def ids_of(claimed: Sequence[ClaimedDelivery]) -> list[OccurrenceId]:
    return [claim.occurrence_id for claim in claimed]


def ended(claim: ClaimedDelivery, *, epoch: int | None = None) -> Finished:
    return Finished(claim.occurrence_id, claim.epoch if epoch is None else epoch, "delivered", None, 1)


def failed(claim: ClaimedDelivery, *, epoch: int | None = None, after: timedelta = MINUTE) -> Retried:
    return Retried(claim.occurrence_id, claim.epoch if epoch is None else epoch, after)


async def a_begun(conn: Connection, event: Event, scheduled_at: datetime | None = None) -> ClaimedDelivery:
    """Store an overdue delivery, claim it and begin its attempt."""
    claim = await a_claimed(conn, event, scheduled_at)
    assert len(await deliveries.begin(conn, [held_by(claim)])) == 1
    return claim


async def row_of(conn: Connection, occurrence_id: OccurrenceId) -> tuple[Any, ...] | None:
    cursor = await conn.execute("SELECT * FROM deliveries WHERE occurrence_id = %s", [occurrence_id])
    return await cursor.fetchone()


async def field_of(conn: Connection, occurrence_id: OccurrenceId, name: str) -> Any:
    cursor = await conn.execute("SELECT to_jsonb(d) -> %s FROM deliveries AS d WHERE occurrence_id = %s",
                                [name, occurrence_id])  # fmt: skip
    [row] = await cursor.fetchall()
    return msgspec.json.decode(row[0])


class TestInsert:
    async def test_a_new_delivery_waits_for_its_time(self, conn: Connection) -> None:
        planned = planned_of(event_of())

        assert await deliveries.insert(conn, [planned]) == {planned.occurrence_id}
        assert await states_of(conn, planned.event_id) == {planned.occurrence_id: "scheduled"}

    async def test_inserting_twice_changes_nothing(self, conn: Connection) -> None:
        planned = await a_waiting(conn, event_of())
        before = await row_of(conn, planned.occurrence_id)

        again = msgspec.structs.replace(planned, scheduled_at=NOON + HOUR, event_version=2)

        assert await deliveries.insert(conn, [again]) == set()
        assert await row_of(conn, planned.occurrence_id) == before

    async def test_what_has_finished_is_not_inserted_again(self, conn: Connection) -> None:
        event = event_of()
        planned = await a_waiting(conn, event)
        [claim] = await deliveries.claim_due(conn, now=NOON, limit=1)
        await deliveries.finish(conn, [ended(claim)])

        other = planned_of(event, NOON + HOUR)

        assert await deliveries.insert(conn, [planned, other]) == {other.occurrence_id}
        assert await states_of(conn, event.id) == {
            planned.occurrence_id: "delivered",
            other.occurrence_id: "scheduled",
        }

    async def test_nothing_can_be_inserted(self, conn: Connection) -> None:
        assert await deliveries.insert(conn, []) == set()


class TestClaimDue:
    async def test_what_is_due_within_the_horizon_is_claimed(self, conn: Connection) -> None:
        event = event_of()
        due = await a_waiting(conn, event, NOON + HORIZON)
        await a_waiting(conn, event, NOON + HORIZON + MICROSECOND)

        [claim] = await deliveries.claim_due(conn, now=NOON, limit=10)

        assert claim.occurrence_id == due.occurrence_id
        assert (claim.due_at, claim.scheduled_at) == (due.scheduled_at, due.scheduled_at)
        assert claim.epoch == epoch_before_first_claim(1) + 1
        assert is_first_claim(claim.epoch)

    async def test_a_claim_is_held_for_the_length_of_its_lease(self, conn: Connection) -> None:
        await a_waiting(conn, event_of())
        await deliveries.claim_due(conn, now=NOON, limit=10, lease=LEASE)

        assert await deliveries.claim_due(conn, now=NOON + LEASE - MICROSECOND, limit=10, lease=LEASE) == []

    async def test_an_expired_lease_can_be_claimed_again(self, conn: Connection) -> None:
        await a_waiting(conn, event_of())
        [first] = await deliveries.claim_due(conn, now=NOON, limit=1, lease=LEASE)

        [second] = await deliveries.claim_due(conn, now=NOON + LEASE, limit=1, lease=LEASE)

        assert second == msgspec.structs.replace(first, epoch=first.epoch + 1, claimed_at=second.claimed_at)
        assert not is_first_claim(second.epoch)

    async def test_the_lease_of_what_is_not_yet_due_begins_at_its_time(self, conn: Connection) -> None:
        await a_waiting(conn, event_of(), NOON + HORIZON)
        await deliveries.claim_due(conn, now=NOON, limit=1, lease=LEASE)

        assert await deliveries.claim_due(conn, now=NOON + HORIZON + LEASE - MICROSECOND, limit=1) == []
        assert len(await deliveries.claim_due(conn, now=NOON + HORIZON + LEASE, limit=1)) == 1

    async def test_a_lease_that_runs_out_soon_is_not_claimed_early(self, conn: Connection) -> None:
        await a_waiting(conn, event_of())
        await deliveries.claim_due(conn, now=NOON, limit=1, lease=LEASE)

        assert await deliveries.claim_due(conn, now=NOON + LEASE - SECOND, limit=1, horizon=HOUR) == []

    async def test_the_most_overdue_come_first_and_no_more_than_asked_for(self, conn: Connection) -> None:
        event = event_of()
        third, first, second = [await a_waiting(conn, event, NOON - n * SECOND) for n in (1, 3, 2)]

        assert set(ids_of(await deliveries.claim_due(conn, now=NOON, limit=2))) == {
            first.occurrence_id,
            second.occurrence_id,
        }
        assert ids_of(await deliveries.claim_due(conn, now=NOON, limit=2)) == [third.occurrence_id]

    async def test_two_schedulers_pass_each_other(self, pool: Pool) -> None:
        async with pool.connection() as one, pool.connection() as other:
            event = event_of()
            first = await a_waiting(one, event, NOON)
            second = await a_waiting(one, event, NOON + SECOND)
            async with one.transaction():
                mine = await deliveries.claim_due(one, now=NOON, limit=1)

                theirs = await deliveries.claim_due(other, now=NOON, limit=10)

            assert ids_of(mine) == [first.occurrence_id]
            assert ids_of(theirs) == [second.occurrence_id]
            assert await deliveries.claim_due(other, now=NOON, limit=10) == []

    async def test_a_claim_that_is_rolled_back_was_none(self, pool: Pool) -> None:
        async with pool.connection() as one, pool.connection() as other:
            await a_waiting(one, event_of())
            async with one.transaction(force_rollback=True):
                [lost] = await deliveries.claim_due(one, now=NOON, limit=1)

            [claim] = await deliveries.claim_due(other, now=NOON, limit=1)

            assert claim == lost

    async def test_without_an_instant_the_databases_clock_decides(self, conn: Connection) -> None:
        event = event_of()
        due = await a_waiting(conn, event, utc_now())
        await a_waiting(conn, event, utc_now() + HOUR)

        assert ids_of(await deliveries.claim_due(conn, limit=10)) == [due.occurrence_id]


class TestUntilNext:
    async def test_nothing_waits(self, conn: Connection) -> None:
        assert await deliveries.until_next(conn) is None

    async def test_the_next_can_be_claimed_when_it_comes_within_the_horizon(self, conn: Connection) -> None:
        event = event_of()
        await a_waiting(conn, event, utc_now() + 2 * HOUR)
        await a_waiting(conn, event, utc_now() + HOUR)

        wait = await deliveries.until_next(conn)

        assert wait is not None
        assert HOUR - HORIZON - MINUTE < wait <= HOUR - HORIZON

    async def test_a_claim_can_be_claimed_again_when_its_lease_ends(self, conn: Connection) -> None:
        await a_claimed(conn, event_of(), lease=HOUR)

        wait = await deliveries.until_next(conn)

        assert wait is not None
        assert HOUR - MINUTE < wait <= HOUR


class TestUnclaim:
    async def test_an_undone_claim_was_never_made(self, conn: Connection) -> None:
        await a_waiting(conn, event_of())
        async with conn.transaction():
            [undone] = await deliveries.claim_due(conn, now=NOON, limit=1)
            await deliveries.unclaim(conn, [undone.occurrence_id])

        assert await deliveries.claim_due(conn, now=NOON, limit=1) == [undone]


class TestRelease:
    async def test_a_released_claim_is_due_as_before_under_a_new_epoch(self, conn: Connection) -> None:
        await a_waiting(conn, event_of())
        [first] = await deliveries.claim_due(conn, now=NOON, limit=1)

        assert await deliveries.release(conn, [first]) == {first.occurrence_id}

        [second] = await deliveries.claim_due(conn, now=NOON, limit=1)
        assert second == msgspec.structs.replace(first, epoch=first.epoch + 1, claimed_at=second.claimed_at)

    @pytest.mark.parametrize("off", [-1, 1])
    async def test_a_claim_of_another_epoch_is_not_released(self, conn: Connection, off: int) -> None:
        claim = await a_claimed(conn, event_of())
        before = await row_of(conn, claim.occurrence_id)

        assert await deliveries.release(conn, [Held(claim.occurrence_id, claim.epoch + off)]) == set()
        assert await row_of(conn, claim.occurrence_id) == before

    async def test_a_claim_whose_request_may_be_on_the_wire_is_left_to_its_lease(self, conn: Connection) -> None:
        claim = await a_begun(conn, await an_event(conn))
        before = await row_of(conn, claim.occurrence_id)

        assert await deliveries.release(conn, [claim]) == set()
        assert await row_of(conn, claim.occurrence_id) == before

    async def test_a_retry_that_waits_is_not_hastened_by_a_late_release(self, conn: Connection) -> None:
        claim = await a_claimed(conn, event_of())
        await deliveries.retry(conn, [failed(claim)])
        before = await row_of(conn, claim.occurrence_id)

        await deliveries.release(conn, [claim])

        assert await row_of(conn, claim.occurrence_id) == before


class TestBegin:
    async def test_a_good_claim_is_begun_with_all_that_an_attempt_needs(self, conn: Connection) -> None:
        event = await an_event(conn, hmac_secret="a secret of its own")
        claim = await a_claimed(conn, event)

        [due] = await deliveries.begin(conn, [held_by(claim)])

        assert (due.occurrence_id, due.epoch, due.event_id) == (claim.occurrence_id, claim.epoch, event.id)
        assert (due.content, due.webhook_url) == (event.content, event.content.webhook_url)
        assert (due.event_version, due.event_status) == (1, "active")
        assert due.secrets == EventSecrets("a secret of its own")
        assert (due.attempts, due.missed_count, due.catch_up, due.replay, due.metadata) == (0, 0, False, False, None)
        assert abs(due.now - utc_now()) < MINUTE
        assert 0 < due.lease_left <= LEASE.total_seconds()

    async def test_a_claim_begins_once(self, conn: Connection) -> None:
        claim = await a_begun(conn, await an_event(conn))

        assert await deliveries.begin(conn, [held_by(claim)]) == []

    async def test_of_two_dispatchers_that_hold_the_same_claim_one_begins_it(self, pool: Pool) -> None:
        async with pool.connection() as one, pool.connection() as other, asyncio.TaskGroup() as group:
            claim = await a_claimed(one, await an_event(one))
            async with one.transaction():
                first = await deliveries.begin(one, [held_by(claim)])
                second = group.create_task(deliveries.begin(other, [held_by(claim)]))
                await until_blocked(one, other)

            assert len(first) == 1
            assert await second == []

    async def test_a_begun_claim_can_be_claimed_and_begun_again_after_its_lease(self, conn: Connection) -> None:
        claim = await a_begun(conn, await an_event(conn))
        [again] = await deliveries.claim_due(conn, now=utc_now() + 2 * LEASE, limit=1)

        assert len(await deliveries.begin(conn, [held_by(again)])) == 1
        assert await deliveries.begin(conn, [held_by(claim)]) == []

    async def test_nothing_begins_before_its_time(self, conn: Connection) -> None:
        claim = await a_claimed(conn, await an_event(conn), utc_now() + MINUTE)

        assert await deliveries.begin(conn, [held_by(claim)]) == []
        assert len(await deliveries.release(conn, [claim])) == 1

    @pytest.mark.parametrize("off", [-1, 1])
    async def test_a_claim_of_another_epoch_is_left_out(self, conn: Connection, off: int) -> None:
        claim = await a_claimed(conn, await an_event(conn))

        assert await deliveries.begin(conn, [Held(claim.occurrence_id, claim.epoch + off)]) == []

    async def test_a_claim_whose_lease_has_run_out_is_left_out(self, conn: Connection) -> None:
        claim = await a_claimed(conn, await an_event(conn), lease=NOTHING)

        assert await deliveries.begin(conn, [held_by(claim)]) == []

    async def test_a_claim_that_was_released_is_left_out(self, conn: Connection) -> None:
        claim = await a_claimed(conn, await an_event(conn))
        await deliveries.release(conn, [claim])

        assert await deliveries.begin(conn, [held_by(claim)]) == []

    async def test_the_first_attempt_sends_what_the_event_holds_now(self, conn: Connection) -> None:
        event = await an_event(conn, hmac_secret="the old secret")
        claim = await a_claimed(conn, event)
        changed = await a_new_version(conn, event, url="https://new.example/hook", name="Feed the cat")
        await secrets.write(conn, event.id, EventSecrets("the new secret", (PreviousSecret(None, NOON),)))

        [due] = await deliveries.begin(conn, [held_by(claim)])

        assert (due.event_version, due.content) == (2, changed.content)
        assert due.webhook_url == changed.content.webhook_url
        assert due.secrets == EventSecrets("the new secret", (PreviousSecret(None, NOON),))

    async def test_a_retry_sends_what_the_first_attempt_sent_to_the_current_address(self, conn: Connection) -> None:
        event = await an_event(conn)
        await deliveries.retry(conn, [failed(await a_begun(conn, event), after=NOTHING)])
        changed = await a_new_version(conn, event, url="https://new.example/hook", name="Feed the cat")
        [claim] = await deliveries.claim_due(conn, limit=1)

        [due] = await deliveries.begin(conn, [held_by(claim)])

        assert (due.event_version, due.content.name, due.attempts) == (1, "Water the plants", 1)
        assert due.webhook_url == changed.content.webhook_url

    async def test_a_deleted_event_shows_in_what_is_begun(self, conn: Connection) -> None:
        event = await an_event(conn)
        claim = await a_claimed(conn, event)
        deleted = msgspec.structs.replace(event, version=2, status="deleted")
        await events.change(conn, deleted, change="deleted", fields=[], by="master")

        [due] = await deliveries.begin(conn, [held_by(claim)])

        assert due.event_status == "deleted"

    async def test_good_and_stale_claims_are_told_apart_in_one_query(self, conn: Connection) -> None:
        event = await an_event(conn)
        good = await a_claimed(conn, event)
        stale = await a_claimed(conn, event, utc_now() - 2 * SECOND)

        begun = await deliveries.begin(conn, [Held(stale.occurrence_id, stale.epoch - 1), held_by(good)])

        assert [due.occurrence_id for due in begun] == [good.occurrence_id]


class TestExtend:
    async def test_an_extended_claim_is_held_for_longer(self, conn: Connection) -> None:
        claim = await a_claimed(conn, await an_event(conn), lease=10 * SECOND)

        assert await deliveries.extend(conn, [(held_by(claim), HOUR)]) == {claim.occurrence_id}

        [due] = await deliveries.begin(conn, [held_by(claim)])
        assert due.lease_left > MINUTE.total_seconds()

    async def test_a_claim_that_was_taken_over_is_not_extended(self, conn: Connection) -> None:
        claim = await a_claimed(conn, await an_event(conn), lease=NOTHING)
        [newer] = await deliveries.claim_due(conn, limit=1)
        before = await row_of(conn, claim.occurrence_id)

        assert await deliveries.extend(conn, [(held_by(claim), HOUR)]) == set()
        assert await row_of(conn, newer.occurrence_id) == before

    async def test_each_claim_has_its_own_length(self, conn: Connection) -> None:
        event = await an_event(conn)
        short, long = await a_claimed(conn, event), await a_claimed(conn, event, utc_now() - 2 * SECOND)

        await deliveries.extend(conn, [(held_by(short), MINUTE), (held_by(long), HOUR)])

        left = {d.occurrence_id: d.lease_left for d in await deliveries.begin(conn, [held_by(short), held_by(long)])}
        assert left[short.occurrence_id] <= MINUTE.total_seconds()
        assert left[long.occurrence_id] > HOUR.total_seconds() / 2


class TestFinish:
    async def test_a_finished_delivery_leaves_the_queue_for_the_record(self, conn: Connection) -> None:
        event = event_of()
        claim = await a_claimed(conn, event)

        assert await deliveries.finish(conn, [ended(claim)]) == {
            Held(claim.occurrence_id, claim.epoch): (event.id, "delivered")
        }

        assert await row_of(conn, claim.occurrence_id) is None
        cursor = await conn.execute(
            "SELECT status, status_reason, epoch, attempt_count, delivered_at IS NOT NULL FROM occurrences"
        )
        assert await cursor.fetchall() == [("delivered", None, claim.epoch, 1, True)]

    async def test_an_end_without_a_request_counts_none_and_delivers_nothing(self, conn: Connection) -> None:
        claim = await a_claimed(conn, event_of())

        await deliveries.finish(conn, [Finished(claim.occurrence_id, claim.epoch, "expired", "expires_after", 0)])

        cursor = await conn.execute("SELECT status, status_reason, attempt_count, delivered_at FROM occurrences")
        assert await cursor.fetchall() == [("expired", "expires_after", 0, None)]

    @pytest.mark.parametrize("off", [-1, 1])
    async def test_a_stale_epoch_finishes_nothing(self, conn: Connection, off: int) -> None:
        event = event_of()
        claim = await a_claimed(conn, event)

        assert await deliveries.finish(conn, [ended(claim, epoch=claim.epoch + off)]) == {}
        assert await states_of(conn, event.id) == {claim.occurrence_id: "queued"}

    async def test_finishing_twice_changes_nothing(self, conn: Connection) -> None:
        event = event_of()
        claim = await a_claimed(conn, event)
        await deliveries.finish(conn, [ended(claim)])
        other = Finished(claim.occurrence_id, claim.epoch, "failed", "attempts_exhausted", 1)

        assert await deliveries.finish(conn, [other]) == {}
        assert await states_of(conn, event.id) == {claim.occurrence_id: "delivered"}

    async def test_attempts_of_earlier_claims_are_counted(self, conn: Connection) -> None:
        claim = await a_claimed(conn, event_of())
        await deliveries.retry(conn, [failed(claim)])
        [again] = await deliveries.claim_due(conn, limit=1, horizon=HOUR)

        await deliveries.finish(conn, [ended(again)])

        cursor = await conn.execute("SELECT attempt_count, epoch FROM occurrences")
        assert await cursor.fetchall() == [(2, claim.epoch + 1)]


class TestRetry:
    async def test_a_retried_delivery_waits_for_its_delay(self, conn: Connection) -> None:
        event = event_of()
        claim = await a_claimed(conn, event)

        assert await deliveries.retry(conn, [failed(claim)]) == {Held(claim.occurrence_id, claim.epoch)}

        assert await states_of(conn, event.id) == {claim.occurrence_id: "retrying"}
        assert await deliveries.claim_due(conn, now=utc_now() + 30 * SECOND, limit=1) == []
        [again] = await deliveries.claim_due(conn, now=utc_now() + MINUTE, limit=1)
        assert again.epoch == claim.epoch + 1
        assert again.scheduled_at == claim.scheduled_at
        assert again.due_at > claim.due_at
        assert await field_of(conn, claim.occurrence_id, "attempts") == 1

    @pytest.mark.parametrize("off", [-1, 1])
    async def test_a_stale_epoch_retries_nothing(self, conn: Connection, off: int) -> None:
        claim = await a_claimed(conn, event_of())
        before = await row_of(conn, claim.occurrence_id)

        assert await deliveries.retry(conn, [failed(claim, epoch=claim.epoch + off)]) == set()
        assert await row_of(conn, claim.occurrence_id) == before

    async def test_retrying_twice_changes_nothing(self, conn: Connection) -> None:
        claim = await a_claimed(conn, event_of())
        await deliveries.retry(conn, [failed(claim)])
        before = await row_of(conn, claim.occurrence_id)

        assert await deliveries.retry(conn, [failed(claim)]) == set()
        assert await row_of(conn, claim.occurrence_id) == before

    async def test_a_claim_that_was_released_is_not_retried(self, conn: Connection) -> None:
        claim = await a_claimed(conn, event_of())
        await deliveries.release(conn, [claim])
        before = await row_of(conn, claim.occurrence_id)

        assert await deliveries.retry(conn, [failed(claim)]) == set()
        assert await row_of(conn, claim.occurrence_id) == before

    async def test_what_has_finished_is_not_retried(self, conn: Connection) -> None:
        event = event_of()
        claim = await a_claimed(conn, event)
        await deliveries.finish(conn, [ended(claim)])

        assert await deliveries.retry(conn, [failed(claim)]) == set()
        assert await states_of(conn, event.id) == {claim.occurrence_id: "delivered"}


class TestCancelOfEvent:
    async def test_what_waits_is_cancelled_with_a_record(self, conn: Connection) -> None:
        event, neighbour = event_of(), event_of()
        waiting = await a_waiting(conn, event, utc_now() + HOUR)
        beside = await a_waiting(conn, neighbour, utc_now() + HOUR)

        await deliveries.cancel_of_event(conn, event.id, reason="event_deleted")

        assert await states_of(conn, event.id) == {waiting.occurrence_id: "cancelled"}
        assert await states_of(conn, neighbour.id) == {beside.occurrence_id: "scheduled"}
        cursor = await conn.execute("SELECT status_reason, attempt_count FROM occurrences")
        assert await cursor.fetchall() == [("event_deleted", 0)]

    async def test_what_may_be_on_the_wire_is_left(self, conn: Connection) -> None:
        event = await an_event(conn)
        claim = await a_begun(conn, event)

        await deliveries.cancel_of_event(conn, event.id, reason="event_deleted")

        assert await states_of(conn, event.id) == {claim.occurrence_id: "queued"}
        assert len(await deliveries.finish(conn, [ended(claim)])) == 1

    @pytest.mark.parametrize("due_in", [-SECOND, HOUR])
    async def test_what_is_claimed_and_has_not_begun_is_cancelled(self, conn: Connection, due_in: timedelta) -> None:
        event = await an_event(conn)
        claim = await a_claimed(conn, event, utc_now() + due_in)

        await deliveries.cancel_of_event(conn, event.id, reason="event_deleted")

        assert await states_of(conn, event.id) == {claim.occurrence_id: "cancelled"}
        assert await deliveries.begin(conn, [held_by(claim)]) == []

    async def test_a_waiting_retry_is_cancelled_and_keeps_its_attempts(self, conn: Connection) -> None:
        event = event_of()
        claim = await a_claimed(conn, event)
        await deliveries.retry(conn, [failed(claim)])

        await deliveries.cancel_of_event(conn, event.id, reason="event_deleted")

        cursor = await conn.execute("SELECT id, status, attempt_count FROM occurrences")
        assert await cursor.fetchall() == [(claim.occurrence_id, "cancelled", 1)]


class TestUnplan:
    @pytest.mark.parametrize("overdue", [True, False])
    async def test_what_waits_is_dropped_without_a_record(self, conn: Connection, overdue: bool) -> None:
        event = event_of()
        await a_waiting(conn, event, utc_now() + HOUR)

        after = await deliveries.unplan(conn, event.id, overdue=overdue)

        assert await states_of(conn, event.id) == {}
        assert abs(after - utc_now()) < MINUTE

    async def test_what_is_claimed_and_has_not_begun_is_dropped(self, conn: Connection) -> None:
        event = await an_event(conn)
        claim = await a_claimed(conn, event, utc_now() + HOUR)

        await deliveries.unplan(conn, event.id, overdue=False)

        assert await states_of(conn, event.id) == {}
        assert await deliveries.begin(conn, [held_by(claim)]) == []

    async def test_what_is_overdue_is_dropped_when_asked_for(self, conn: Connection) -> None:
        event = event_of()
        await a_waiting(conn, event, utc_now() - HOUR)

        await deliveries.unplan(conn, event.id, overdue=True)

        assert await states_of(conn, event.id) == {}

    async def test_what_is_overdue_is_else_delivered_and_plans_nothing_any_more(self, conn: Connection) -> None:
        event = event_of()
        waiting = await a_waiting(conn, event, utc_now() - HOUR, chained=True)

        await deliveries.unplan(conn, event.id, overdue=False)

        [claim] = await deliveries.claim_due(conn, limit=1)
        assert (claim.occurrence_id, claim.chained) == (waiting.occurrence_id, False)

    @pytest.mark.parametrize("due_in", [-HOUR, -SECOND])
    async def test_what_is_overdue_and_claimed_is_left_to_its_dispatcher(
        self, conn: Connection, due_in: timedelta
    ) -> None:
        event = await an_event(conn)
        claim = await a_claimed(conn, event, utc_now() + due_in)

        await deliveries.unplan(conn, event.id, overdue=False)

        assert [due.occurrence_id for due in await deliveries.begin(conn, [held_by(claim)])] == [claim.occurrence_id]

    async def test_what_has_begun_is_left_and_planning_goes_on_behind_it(self, conn: Connection) -> None:
        event = await an_event(conn)
        claim = await a_begun(conn, event)

        after = await deliveries.unplan(conn, event.id, overdue=True)

        assert await states_of(conn, event.id) == {claim.occurrence_id: "queued"}
        assert after >= claim.scheduled_at

    async def test_a_retry_and_a_trigger_are_no_plan(self, conn: Connection) -> None:
        event = event_of()
        claim = await a_claimed(conn, event)
        await deliveries.retry(conn, [failed(claim)])
        trigger = msgspec.structs.replace(planned_of(event, utc_now() + HOUR), recurrence_id=None)
        await deliveries.insert(conn, [trigger])

        await deliveries.unplan(conn, event.id, overdue=True)

        assert (await states_of(conn, event.id)).keys() == {claim.occurrence_id, trigger.occurrence_id}

    async def test_a_delivery_planned_anew_never_meets_an_epoch_of_the_old_one(self, conn: Connection) -> None:
        event = event_of()
        old = await a_claimed(conn, event, utc_now() + HOUR)
        await deliveries.unplan(conn, event.id, overdue=False)
        changed = msgspec.structs.replace(event, version=2)
        await deliveries.insert(conn, [planned_of(changed, old.scheduled_at)])

        [new] = await deliveries.claim_due(conn, limit=1, horizon=2 * HOUR)

        assert new.occurrence_id == old.occurrence_id
        assert new.epoch > old.epoch
        assert await deliveries.finish(conn, [ended(old)]) == {}


async def test_an_event_has_live_deliveries_or_none(conn: Connection) -> None:
    event = event_of()
    claim = await a_claimed(conn, event)

    assert await deliveries.any_of_event(conn, event.id)
    await deliveries.finish(conn, [ended(claim)])
    assert not await deliveries.any_of_event(conn, event.id)


async def a_new_version(conn: Connection, event: Event, *, url: str, name: str) -> Event:
    content = msgspec.structs.replace(content_of(url=url), name=name)
    changed = msgspec.structs.replace(event, version=event.version + 1, content=content)
    await events.change(conn, changed, change="updated", fields=["name", "webhook_url"], by="master")
    return changed


class TestPlans:
    """The statements that run all day touch what they need and no more, whatever the table has grown to."""

    @pytest.fixture
    async def crowded(self, conn: Connection) -> EventId:
        await conn.execute(
            """
            INSERT INTO deliveries (occurrence_id, event_id, event_version, next_at, due_at, scheduled_at,
                                    epoch, chained, recurrence_id)
            SELECT md5(n::text)::uuid, md5((n % 1000)::text)::uuid, 1, at, at, at, 1048576, true, n::text
              FROM generate_series(1, 100000) AS n, LATERAL (SELECT now() + n * interval '1 second' AS at) AS due
            """
        )
        await conn.execute("ANALYZE deliveries")
        cursor = await conn.execute("SELECT md5('1')::uuid")
        [row] = await cursor.fetchall()
        return EventId(row[0])

    async def plan_of(self, conn: Connection, statement: str, parameters: dict[str, object]) -> str:
        explained = ("EXPLAIN " + statement).encode()
        async with conn.transaction(force_rollback=True):
            cursor = await conn.execute(explained, parameters)
            return "\n".join(row[0] for row in await cursor.fetchall())

    async def test_claiming_walks_the_index_of_next_at(self, conn: Connection, crowded: EventId) -> None:
        assert crowded
        limits = {"limit": 400, "newest": 600, "share": 50}
        parameters: dict[str, object] = {"now": None, "horizon": HORIZON, "lease": LEASE, **limits}

        plan = await self.plan_of(conn, deliveries.CLAIM, parameters)

        assert "Index Scan using deliveries_next_at" in plan
        assert "Index Scan Backward using deliveries_next_at" in plan
        assert "Tid Scan on deliveries" in plan
        assert "Seq Scan" not in plan
        assert plan.count("Sort  ") <= 1  # of no more than the newest

    @pytest.mark.parametrize("number", [1, 256])
    async def test_beginning_finishing_and_retrying_go_by_the_primary_key(
        self, conn: Connection, crowded: EventId, number: int
    ) -> None:
        assert crowded
        cursor = await conn.execute("SELECT array_agg(md5(n::text)::uuid) FROM generate_series(1, %s) AS n", [number])
        [row] = await cursor.fetchall()
        parameters: dict[str, object] = {
            "ids": row[0],
            "epochs": [1048577] * number,
            "statuses": ["delivered"] * number,
            "reasons": [None] * number,
            "requests": [1] * number,
            "delays": [MINUTE] * number,
            "leases": [MINUTE] * number,
        }

        for statement in (deliveries.BEGIN, deliveries.FINISH, deliveries.RETRY, deliveries.RELEASE, deliveries.EXTEND):
            plan = await self.plan_of(conn, statement, parameters)

            assert "deliveries_pkey" in plan
            assert "Seq Scan on deliveries" not in plan

    async def test_cancelling_goes_by_the_index_of_the_event(self, conn: Connection, crowded: EventId) -> None:
        plan = await self.plan_of(conn, deliveries.CANCEL, {"event_id": crowded, "reason": "event_deleted"})

        assert "deliveries_event_id" in plan
        assert "Seq Scan on deliveries" not in plan

    async def test_the_time_of_the_next_is_read_from_the_end_of_the_index(
        self, conn: Connection, crowded: EventId
    ) -> None:
        assert crowded

        plan = await self.plan_of(conn, deliveries.FIRST, {})

        assert "using deliveries_next_at" in plan
        assert "Seq Scan" not in plan
