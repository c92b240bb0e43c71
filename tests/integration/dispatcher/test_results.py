from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec
import pytest

from services.dispatcher import results
from services.dispatcher.results import Result
from shared import planning
from shared.domain.attempts import Attempt, Outcome
from shared.domain.deliveries import ClaimedDelivery, FinalStatus, Finished, Retried
from shared.domain.events import Event
from shared.store import attempts, deliveries, events
from shared.store.pool import Connection, Pool
from shared.store.sight import Sight
from tests.factories import (
    HOUR,
    MINUTE,
    a_claimed,
    a_waiting,
    an_event,
    attempt_of,
    content_of,
    states_of,
    timing_of,
    utc_now,
)
from tests.integration.waiting import until_blocked


def attempt_for(claim: ClaimedDelivery, outcome: Outcome) -> Attempt:
    return attempt_of(claim.occurrence_id, epoch=claim.epoch, outcome=outcome)


def finished(
    claim: ClaimedDelivery, status: FinalStatus = "delivered", *, reason: str | None = None, gone: bool = False
) -> Result:
    outcome = Outcome.GONE if gone else Outcome.DELIVERED if status == "delivered" else Outcome.HTTP_ERROR
    return Result(
        event_id=claim.event_id,
        end=Finished(claim.occurrence_id, claim.epoch, status, reason, 1),
        attempt=attempt_for(claim, outcome),
        disables_event=gone,
    )


def retried(claim: ClaimedDelivery) -> Result:
    return Result(
        event_id=claim.event_id,
        end=Retried(claim.occurrence_id, claim.epoch, MINUTE),
        attempt=attempt_for(claim, Outcome.HTTP_ERROR),
    )


async def attempts_of(conn: Connection, claim: ClaimedDelivery) -> list[Attempt]:
    return await attempts.of_occurrence(conn, claim.occurrence_id, before=None, limit=10)


async def status_of(conn: Connection, event: Event) -> tuple[str, str | None]:
    found = await events.get(conn, event.id, sight=Sight(every=True))
    return found.status, found.status_reason


async def waiting_of(conn: Connection, event: Event) -> list[tuple[int, datetime]]:
    """Return the attempts and the next time of each delivery that is live."""
    cursor = await conn.execute("SELECT attempts, next_at FROM deliveries WHERE event_id = %s", [event.id])
    return list(await cursor.fetchall())


class TestWrite:
    async def test_a_delivered_one_time_event_is_completed(self, conn: Connection) -> None:
        event = await an_event(conn)
        claim = await a_claimed(conn, event)
        result = finished(claim)

        await results.write(conn, [result])

        assert await states_of(conn, event.id) == {claim.occurrence_id: "delivered"}
        assert await attempts_of(conn, claim) == [result.attempt]
        assert await status_of(conn, event) == ("completed", None)

    async def test_an_event_with_a_waiting_delivery_stays_active(self, conn: Connection) -> None:
        event = await an_event(conn)
        claim = await a_claimed(conn, event)
        await a_waiting(conn, event, utc_now() + HOUR)

        await results.write(conn, [finished(claim)])

        assert await status_of(conn, event) == ("active", None)

    async def test_a_dead_letter_completes_its_event_too(self, conn: Connection) -> None:
        event = await an_event(conn)
        claim = await a_claimed(conn, event)

        await results.write(conn, [finished(claim, "failed", reason="attempts_exhausted")])

        assert await states_of(conn, event.id) == {claim.occurrence_id: "failed"}
        assert await status_of(conn, event) == ("completed", None)

    async def test_a_batch_of_many_endings_is_written_whole(self, conn: Connection) -> None:
        event = await an_event(conn)
        good, bad = await a_claimed(conn, event), await a_claimed(conn, event, utc_now() - MINUTE)
        expired = await a_claimed(conn, event, utc_now() - HOUR)
        no_request = Result(
            event_id=event.id, end=Finished(expired.occurrence_id, expired.epoch, "expired", "expires_after", 0)
        )

        await results.write(conn, [finished(good), retried(bad), no_request])

        assert await states_of(conn, event.id) == {
            good.occurrence_id: "delivered",
            bad.occurrence_id: "retrying",
            expired.occurrence_id: "expired",
        }
        assert await attempts_of(conn, expired) == []

    async def test_a_result_of_a_claim_that_was_taken_over_is_only_recorded(self, conn: Connection) -> None:
        event = await an_event(conn)
        old = await a_claimed(conn, event)
        await deliveries.release(conn, [old])
        [new] = await deliveries.claim_due(conn, limit=1)

        await results.write(conn, [finished(old)])

        assert await states_of(conn, event.id) == {old.occurrence_id: "queued"}
        [attempt] = await attempts_of(conn, old)
        assert (attempt.stale, attempt.epoch) == (True, old.epoch)
        assert await status_of(conn, event) == ("active", None)
        await results.write(conn, [finished(new)])
        assert await states_of(conn, event.id) == {old.occurrence_id: "delivered"}

    async def test_a_retry_of_a_claim_that_was_taken_over_is_only_recorded(self, conn: Connection) -> None:
        event = await an_event(conn)
        old = await a_claimed(conn, event)
        await deliveries.release(conn, [old])
        await deliveries.claim_due(conn, limit=1)

        await results.write(conn, [retried(old)])

        assert await states_of(conn, event.id) == {old.occurrence_id: "queued"}
        assert [attempt.stale for attempt in await attempts_of(conn, old)] == [True]

    async def test_an_end_that_is_written_twice_changes_nothing(self, conn: Connection) -> None:
        event = await an_event(conn)
        claim = await a_claimed(conn, event)
        result = finished(claim)
        await results.write(conn, [result])

        await results.write(conn, [result])

        assert await states_of(conn, event.id) == {claim.occurrence_id: "delivered"}
        assert await attempts_of(conn, claim) == [result.attempt]

    async def test_a_retry_that_is_written_twice_counts_once(self, conn: Connection) -> None:
        event = await an_event(conn)
        claim = await a_claimed(conn, event)
        await results.write(conn, [retried(claim)])
        before = await waiting_of(conn, event)

        await results.write(conn, [retried(claim)])

        assert await waiting_of(conn, event) == before
        assert [attempts_made for attempts_made, _ in before] == [1]
        assert [attempt.stale for attempt in await attempts_of(conn, claim)] == [False]

    @pytest.mark.parametrize("stale_first", [True, False])
    async def test_a_stale_result_is_told_from_that_of_the_new_claim_in_one_batch(
        self, conn: Connection, stale_first: bool
    ) -> None:
        event = await an_event(conn)
        old = await a_claimed(conn, event)
        await deliveries.release(conn, [old])
        [new] = await deliveries.claim_due(conn, limit=1)
        batch = [finished(old, "failed", reason="gone", gone=True), finished(new)]

        await results.write(conn, batch if stale_first else batch[::-1])

        assert await states_of(conn, event.id) == {old.occurrence_id: "delivered"}
        assert await status_of(conn, event) == ("completed", None)
        assert {attempt.epoch: attempt.stale for attempt in await attempts_of(conn, old)} == {
            old.epoch: True,
            new.epoch: False,
        }

    async def test_a_stale_retry_is_told_from_that_of_the_new_claim_in_one_batch(self, conn: Connection) -> None:
        event = await an_event(conn)
        old = await a_claimed(conn, event)
        await deliveries.release(conn, [old])
        [new] = await deliveries.claim_due(conn, limit=1)

        await results.write(conn, [retried(old), retried(new)])

        assert [attempts_made for attempts_made, _ in await waiting_of(conn, event)] == [1]
        assert {attempt.epoch: attempt.stale for attempt in await attempts_of(conn, old)} == {
            old.epoch: True,
            new.epoch: False,
        }

    async def test_gone_disables_the_event_and_cancels_what_waits(self, conn: Connection) -> None:
        event, beside = await an_event(conn), await an_event(conn)
        claim = await a_claimed(conn, event)
        waiting = await a_waiting(conn, event, utc_now() + HOUR)
        other = await a_waiting(conn, beside, utc_now() + HOUR)

        await results.write(conn, [finished(claim, "failed", reason="gone", gone=True)])

        assert await status_of(conn, event) == ("disabled", "gone")
        assert await states_of(conn, event.id) == {claim.occurrence_id: "failed", waiting.occurrence_id: "cancelled"}
        assert await status_of(conn, beside) == ("active", None)
        assert await states_of(conn, beside.id) == {other.occurrence_id: "scheduled"}

    async def test_gone_disables_an_event_without_a_future_too(self, conn: Connection) -> None:
        event = await an_event(conn)
        claim = await a_claimed(conn, event)

        await results.write(conn, [finished(claim, "failed", reason="gone", gone=True)])

        assert await status_of(conn, event) == ("disabled", "gone")

    async def test_gone_from_a_claim_that_was_taken_over_disables_nothing(self, conn: Connection) -> None:
        event = await an_event(conn)
        old = await a_claimed(conn, event)
        await deliveries.release(conn, [old])
        await deliveries.claim_due(conn, limit=1)

        await results.write(conn, [finished(old, "failed", reason="gone", gone=True)])

        assert await status_of(conn, event) == ("active", None)

    async def test_gone_also_stops_what_is_being_planned_at_the_same_time(self, pool: Pool, conn: Connection) -> None:
        at = utc_now().replace(microsecond=0) + HOUR
        event = await an_event(conn, content_of(timing_of(at, schedule="FREQ=HOURLY")))
        gone = await a_claimed(conn, event)
        await a_waiting(conn, event, at, chained=True)
        async with pool.connection() as scheduler, pool.connection() as writer, asyncio.TaskGroup() as group:
            async with scheduler.transaction():
                [claim] = await deliveries.claim_due(scheduler, limit=10, horizon=2 * HOUR)
                plan = (await events.to_plan(scheduler, [event.id]))[event.id]
                assert plan is not None
                await planning.plan_next(scheduler, [(plan, claim.scheduled_at)])
                result = finished(gone, "failed", reason="gone", gone=True)
                writing = group.create_task(results.write(writer, [result]))
                await until_blocked(scheduler, writer)
            await writing

        assert await status_of(conn, event) == ("disabled", "gone")
        assert sorted((await states_of(conn, event.id)).values()) == ["cancelled", "cancelled", "failed"]


class TestCollect:
    async def test_an_idle_queue_gives_nothing(self) -> None:
        assert await results.collect(asyncio.Queue()) == []

    async def test_what_is_there_comes_together_and_in_order(self, conn: Connection) -> None:
        claim = await a_claimed(conn, await an_event(conn))
        queue: asyncio.Queue[Result] = asyncio.Queue()
        given = [msgspec.structs.replace(finished(claim), disables_event=flag) for flag in (False, True, False)]
        for result in given:
            queue.put_nowait(result)

        assert await results.collect(queue) == given

    async def test_no_more_comes_than_a_batch_holds(self, conn: Connection) -> None:
        claim = await a_claimed(conn, await an_event(conn))
        queue: asyncio.Queue[Result] = asyncio.Queue()
        for _ in range(results.LARGEST_BATCH + 1):
            queue.put_nowait(finished(claim))

        assert len(await results.collect(queue)) == results.LARGEST_BATCH
        assert queue.qsize() == 1
