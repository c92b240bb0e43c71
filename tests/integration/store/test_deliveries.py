from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from shared.domain.deliveries import Held
from shared.domain.destinations import DestinationId
from shared.domain.epochs import epoch_before_first_claim, is_first_claim
from shared.domain.ids import OccurrenceId
from shared.store import deliveries, planned_deliveries
from shared.store.clock import database_now
from shared.store.deliveries import HORIZON, LEASE, Newest
from shared.store.pool import Connection, Pool
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
from tests.integration.store.stations import a_begun, failed, field_of, ids_of, row_of

MICROSECOND = timedelta(microseconds=1)
NOTHING = timedelta(0)
HERE, THERE, ELSEWHERE = DestinationId(1), DestinationId(2), DestinationId(3)


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

        assert second == msgspec.structs.replace(
            first, epoch=first.epoch + 1, claimed_at=second.claimed_at, after_lease=True
        )
        assert not is_first_claim(second.epoch)

    async def test_a_claim_says_whether_an_earlier_one_had_not_ended_in_time(self, conn: Connection) -> None:
        event = await an_event(conn)
        lost, given_back = await a_claimed(conn, event), await a_claimed(conn, event, utc_now() - MINUTE)
        assert not lost.after_lease
        await deliveries.release(conn, [given_back])

        claims = await deliveries.claim_due(conn, now=utc_now() + 2 * LEASE, limit=2)

        assert {c.occurrence_id: c.after_lease for c in claims} == {
            lost.occurrence_id: True, given_back.occurrence_id: False,
        }  # fmt: skip

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


class TestNewest:
    """What a claim takes of those that come due last, whatever has been due for longer."""

    async def waiting_at(self, conn: Connection, destination: DestinationId, *seconds: int) -> list[OccurrenceId]:
        """Store deliveries to a destination that are due so many seconds after noon."""
        event = event_of()
        planned = [
            msgspec.structs.replace(planned_of(event, NOON + s * SECOND), destination=destination) for s in seconds
        ]
        await planned_deliveries.insert(conn, planned)
        return [p.occurrence_id for p in planned]

    async def test_each_destination_has_its_share_of_the_newest(self, conn: Connection) -> None:
        await self.waiting_at(conn, HERE, 0, 1, 2, 3, 4)
        flood = await self.waiting_at(conn, HERE, 11, 12, 13, 15, 16, 17, 18, 19)
        others = await self.waiting_at(conn, THERE, 10) + await self.waiting_at(conn, ELSEWHERE, 14)

        claims = await deliveries.claim_due(conn, now=NOON + HOUR, limit=0, newest=Newest(10, share=2))

        assert set(ids_of(claims)) == {*flood[-2:], *others}

    async def test_what_is_both_old_and_new_is_claimed_once(self, conn: Connection) -> None:
        made = await self.waiting_at(conn, HERE, 0, 1, 2)

        claims = await deliveries.claim_due(conn, now=NOON + HOUR, limit=2, newest=Newest(10, share=2))

        assert sorted(ids_of(claims)) == sorted(made)
        assert {claim.epoch for claim in claims} == {epoch_before_first_claim(1) + 1}

    async def test_what_lies_beyond_the_horizon_is_no_news(self, conn: Connection) -> None:
        [due, _] = await self.waiting_at(conn, HERE, 1, 3)

        claims = await deliveries.claim_due(conn, now=NOON, limit=0, newest=Newest(10, share=10))

        assert ids_of(claims) == [due]

    async def test_a_lease_that_runs_out_soon_is_no_news(self, conn: Connection) -> None:
        await self.waiting_at(conn, HERE, 0)
        await deliveries.claim_due(conn, now=NOON, limit=1, lease=LEASE)

        soon = NOON + LEASE - SECOND
        assert await deliveries.claim_due(conn, now=soon, limit=0, newest=Newest(10, share=10)) == []

    async def test_two_schedulers_pass_each_other(self, pool: Pool) -> None:
        async with pool.connection() as one, pool.connection() as other:
            made = await self.waiting_at(one, HERE, 0, 1)
            async with one.transaction():
                mine = await deliveries.claim_due(one, now=NOON + HOUR, limit=0, newest=Newest(10, share=1))

                theirs = await deliveries.claim_due(other, now=NOON + HOUR, limit=0, newest=Newest(10, share=10))

            assert [ids_of(mine), ids_of(theirs)] == [[made[1]], [made[0]]]


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


class TestDefer:
    async def test_what_is_deferred_comes_back_after_its_delay_and_costs_no_attempt(self, conn: Connection) -> None:
        event = event_of()
        claim = await a_claimed(conn, event)
        before = await database_now(conn)

        await deliveries.defer(conn, [(held_by(claim), MINUTE)])

        assert await states_of(conn, event.id) == {claim.occurrence_id: "scheduled"}
        assert await deliveries.claim_due(conn, now=before + MINUTE - MICROSECOND, limit=1, horizon=NOTHING) == []
        [again] = await deliveries.claim_due(conn, now=utc_now() + MINUTE, limit=1)
        assert (again.epoch, again.scheduled_at) == (claim.epoch + 1, claim.scheduled_at)
        assert again.due_at > claim.due_at + 50 * SECOND
        assert await field_of(conn, claim.occurrence_id, "attempts") == 0

    async def test_each_has_a_delay_of_its_own(self, conn: Connection) -> None:
        event = event_of()
        soon, late = await a_claimed(conn, event), await a_claimed(conn, event, utc_now() - 2 * SECOND)

        await deliveries.defer(conn, [(held_by(late), HOUR), (held_by(soon), MINUTE)])

        claims = await deliveries.claim_due(conn, now=utc_now() + 2 * MINUTE, limit=10)
        assert ids_of(claims) == [soon.occurrence_id]

    @pytest.mark.parametrize("off", [-1, 1])
    async def test_a_claim_of_another_epoch_is_not_deferred(self, conn: Connection, off: int) -> None:
        claim = await a_claimed(conn, event_of())
        before = await row_of(conn, claim.occurrence_id)

        await deliveries.defer(conn, [(Held(claim.occurrence_id, claim.epoch + off), MINUTE)])

        assert await row_of(conn, claim.occurrence_id) == before

    async def test_a_claim_whose_request_may_be_on_the_wire_is_not_deferred(self, conn: Connection) -> None:
        claim = await a_begun(conn, await an_event(conn))
        before = await row_of(conn, claim.occurrence_id)

        await deliveries.defer(conn, [(held_by(claim), MINUTE)])

        assert await row_of(conn, claim.occurrence_id) == before

    async def test_deferring_twice_delays_once(self, conn: Connection) -> None:
        claim = await a_claimed(conn, event_of())
        await deliveries.defer(conn, [(held_by(claim), MINUTE)])
        before = await row_of(conn, claim.occurrence_id)

        await deliveries.defer(conn, [(held_by(claim), HOUR)])

        assert await row_of(conn, claim.occurrence_id) == before
