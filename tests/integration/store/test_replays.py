from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import pytest_asyncio

from shared.domain.deliveries import FinalStatus, Finished, PlannedDelivery, Retried
from shared.domain.events import Event
from shared.domain.ids import OccurrenceId, occurrence_id_of
from shared.store import cancellations, deliveries, occurrences, partitions, planned_deliveries, replays
from shared.store.pool import Connection, open_pool
from shared.store.replays import Filters
from shared.store.sight import EVERYTHING, Sight
from tests.factories import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    SOME_OCCURRENCE,
    a_claimed,
    a_waiting,
    an_event,
    content_of,
    held_by,
    planned_of,
    states_of,
    utc_now,
)
from tests.servers import Databases

MILLISECOND = timedelta(milliseconds=1)


@pytest.fixture
def unpartitioned(databases: Databases) -> Generator[str]:
    """A database of its own, where partitions may be made for good."""
    url = databases.create()
    yield url
    databases.drop(url)


@pytest_asyncio.fixture
async def partitioned(unpartitioned: str) -> AsyncGenerator[Connection]:
    async with open_pool(unpartitioned, name="test", size=1) as pool, pool.connection() as conn:
        await partitions.make_ahead(conn, now=NOON, ahead=4)
        yield conn


async def failed(conn: Connection, event: Event, at: datetime = NOON, *, requests: int = 1) -> OccurrenceId:
    """Finish an occurrence as a dead letter."""
    return await finished(conn, planned_of(event, at), requests=requests)


async def finished(
    conn: Connection, planned: PlannedDelivery, status: FinalStatus = "failed", *, requests: int = 1
) -> OccurrenceId:
    await planned_deliveries.insert(conn, [planned])
    claims = await deliveries.claim_due(conn, now=planned.scheduled_at, limit=100)
    [claim] = [claim for claim in claims if claim.occurrence_id == planned.occurrence_id]
    await deliveries.finish(conn, [Finished(claim.occurrence_id, claim.epoch, status, "of_test", requests)])
    return claim.occurrence_id


def moved_of(event: Event, original_at: datetime, scheduled_at: datetime) -> PlannedDelivery:
    recurrence_id = original_at.replace(tzinfo=None).isoformat()
    return msgspec.structs.replace(
        planned_of(event, scheduled_at),
        occurrence_id=occurrence_id_of(event.id, recurrence_id, original_at),
        recurrence_id=recurrence_id,
    )


def filters_of(start: datetime = NOON, end: datetime = NOON, *, sight: Sight = EVERYTHING) -> Filters:
    return Filters(status="failed", scheduled_from=start, scheduled_to=end, sight=sight)


async def asked_for(conn: Connection, filters: Filters) -> replays.Replay:
    await replays.insert(conn, filters, by="master", matched=0)
    replay = await replays.take(conn)
    assert replay is not None
    return replay


class TestStart:
    async def test_a_record_becomes_a_delivery_that_is_due_now(self, conn: Connection) -> None:
        event = await an_event(conn)
        id_ = await failed(conn, event)

        assert await replays.start(conn, [id_]) == {id_}

        found = await occurrences.get(conn, id_, sight=EVERYTHING)
        assert (found.status, found.attempt_count, found.scheduled_at) == ("scheduled", 1, NOON)
        assert found.next_attempt_at is not None
        assert found.next_attempt_at > utc_now() - MINUTE
        assert await states_of(conn, event.id) == {id_: "scheduled"}

    async def test_it_goes_on_from_the_epoch_and_the_attempts_of_the_record(self, conn: Connection) -> None:
        first = await a_claimed(conn, await an_event(conn))
        await deliveries.finish(conn, [Finished(first.occurrence_id, first.epoch, "failed", "of_test", 3)])
        await replays.start(conn, [first.occurrence_id])

        [claim] = await deliveries.claim_due(conn, limit=1)
        [due] = await deliveries.begin(conn, [held_by(claim)])

        assert claim.epoch > first.epoch
        assert (due.attempts, due.attempts_before, due.last_attempt, due.replay) == (3, 3, 13, True)
        assert due.round_at > due.scheduled_at
        assert due.round_at == due.due_at

    async def test_its_retries_belong_to_the_same_round(self, conn: Connection) -> None:
        id_ = await failed(conn, await an_event(conn), requests=3)
        await replays.start(conn, [id_])
        [claim] = await deliveries.claim_due(conn, limit=1)
        [before] = await deliveries.begin(conn, [held_by(claim)])

        await deliveries.retry(conn, [Retried(id_, claim.epoch, timedelta(0))])

        assert (await occurrences.get(conn, id_, sight=EVERYTHING)).status == "retrying"
        [claim] = await deliveries.claim_due(conn, limit=1)
        [due] = await deliveries.begin(conn, [held_by(claim)])
        assert (due.attempts, due.attempts_before, due.round_at) == (4, 3, before.round_at)

    async def test_its_end_is_a_new_record(self, conn: Connection) -> None:
        id_ = await failed(conn, await an_event(conn), requests=3)
        await replays.start(conn, [id_])
        [claim] = await deliveries.claim_due(conn, limit=1)

        await deliveries.finish(conn, [Finished(id_, claim.epoch, "delivered", None, 1)])

        found = await occurrences.get(conn, id_, sight=EVERYTHING)
        assert (found.status, found.status_reason, found.attempt_count) == ("delivered", None, 4)
        assert found.delivered_at is not None

    async def test_the_last_claims_result_written_again_does_not_end_it(self, conn: Connection) -> None:
        event = await an_event(conn)
        claim = await a_claimed(conn, event)
        result = [Finished(claim.occurrence_id, claim.epoch, "delivered", None, 1)]
        await deliveries.finish(conn, result)
        await replays.start(conn, [claim.occurrence_id])

        assert await deliveries.finish(conn, result) == {}

        assert await states_of(conn, event.id) == {claim.occurrence_id: "scheduled"}

    async def test_a_record_of_many_is_replayed_as_its_first_and_keeps_their_number(self, conn: Connection) -> None:
        planned = planned_of(await an_event(conn))
        await occurrences.record_skipped(conn, [planned], reason="paused", each_counts=7)

        await replays.start(conn, [planned.occurrence_id])

        [claim] = await deliveries.claim_due(conn, limit=1)
        [due] = await deliveries.begin(conn, [held_by(claim)])
        assert (due.scheduled_at, due.missed_count, claim.chained) == (NOON, 7, False)

    async def test_a_trigger_keeps_its_metadata(self, conn: Connection) -> None:
        planned = msgspec.structs.replace(
            planned_of(await an_event(conn)), recurrence_id=None, metadata={"room": "attic"}
        )
        await replays.start(conn, [await finished(conn, planned)])

        [claim] = await deliveries.claim_due(conn, limit=1)
        [due] = await deliveries.begin(conn, [held_by(claim)])

        assert due.metadata == {"room": "attic"}

    async def test_one_that_was_cancelled_before_its_time_waits_for_it(self, conn: Connection) -> None:
        at = utc_now() + HOUR
        waiting = await a_waiting(conn, await an_event(conn), at)
        await cancellations.cancel(conn, waiting.occurrence_id, reason="requested")

        await replays.start(conn, [waiting.occurrence_id])

        assert (await occurrences.get(conn, waiting.occurrence_id, sight=EVERYTHING)).next_attempt_at == at

    async def test_what_is_not_finished_is_not_started(self, conn: Connection) -> None:
        event = await an_event(conn)
        waiting = await a_waiting(conn, event)

        assert await replays.start(conn, [waiting.occurrence_id]) == set()

    async def test_what_finished_later_is_not_started(self, conn: Connection) -> None:
        id_ = await failed(conn, await an_event(conn))

        assert await replays.start(conn, [id_], finished_before=utc_now() - HOUR) == set()
        assert await replays.start(conn, [id_], finished_before=utc_now() + HOUR) == {id_}

    async def test_a_replay_to_come_does_not_put_off_what_is_planned_anew(self, conn: Connection) -> None:
        event = await an_event(conn)
        waiting = await a_waiting(conn, event, utc_now() + DAY)
        await cancellations.cancel(conn, waiting.occurrence_id, reason="requested")
        await replays.start(conn, [waiting.occurrence_id])

        assert await planned_deliveries.unplan(conn, event.id, overdue=False) < utc_now() + HOUR


class TestMatching:
    async def test_bounds_are_inclusive_to_the_microsecond(self, conn: Connection) -> None:
        event = await an_event(conn)
        tick = timedelta(microseconds=1)
        for at in (NOON - tick, NOON, NOON + MILLISECOND - tick, NOON + MILLISECOND):
            await failed(conn, event, at)

        assert await replays.count(conn, filters_of()) == 1
        assert await replays.count(conn, filters_of(end=NOON + MILLISECOND - tick)) == 2
        assert await replays.count(conn, filters_of(NOON - tick, NOON + MILLISECOND)) == 4

    async def test_a_moved_one_counts_by_its_new_time_only(self, conn: Connection) -> None:
        event = await an_event(conn)
        id_ = await finished(conn, moved_of(event, NOON - 30 * DAY, NOON))

        assert await replays.count(conn, filters_of()) == 1
        assert await replays.look(conn, await asked_for(conn, filters_of()), limit=10) == [id_]
        assert await replays.count(conn, filters_of(NOON - 30 * DAY, NOON - DAY)) == 0
        assert await replays.count(conn, filters_of(NOON - 30 * DAY, NOON + DAY)) == 1

    async def test_status_event_and_tags_narrow(self, conn: Connection) -> None:
        event = await an_event(conn, msgspec.structs.replace(content_of(), tags=("a", "b")))
        await failed(conn, event)
        await failed(conn, await an_event(conn))
        await finished(conn, planned_of(event, NOON - SECOND), "delivered")
        wide = filters_of(NOON - HOUR)

        async def matching(**changes: object) -> int:
            return await replays.count(conn, msgspec.structs.replace(wide, **changes))

        assert await matching() == 2
        assert await matching(status="delivered") == 1
        assert await matching(event_id=event.id) == 1
        assert await matching(tags=["a", "b"]) == 1
        assert await matching(tags=["a", "c"]) == 0
        assert await matching(sight=Sight(tags=["b"])) == 1
        assert await matching(sight=Sight(prefixes=["x:"])) == 0
        assert await matching(sight=Sight()) == 0

    @pytest.mark.parametrize("status", ["deleted", "disabled"])
    async def test_events_that_deliver_nothing_any_more_do_not_match(self, conn: Connection, status: str) -> None:
        event = await an_event(conn)
        id_ = await failed(conn, event)
        replay = await asked_for(conn, filters_of())
        await conn.execute("UPDATE events SET status = %s WHERE id = %s", [status, event.id])

        assert await replays.count(conn, filters_of()) == 0
        assert await replays.matching(conn, replay, [id_]) == []


class TestPlans:
    @pytest.mark.parametrize("at", [NOON, datetime(1969, 12, 31, tzinfo=UTC), datetime(9998, 12, 31, tzinfo=UTC)])
    async def test_the_first_id_of_an_instant_is_the_bound_of_partitions(self, conn: Connection, at: datetime) -> None:
        cursor = await conn.execute(
            "SELECT first_id_at(%(at)s), is_moved(first_id_at(%(at)s), %(at)s)", {"at": at}, binary=True
        )
        milliseconds = max(0, (at - datetime(1970, 1, 1, tzinfo=UTC)) // MILLISECOND)

        [(found, is_moved)] = await cursor.fetchall()

        assert found.int == milliseconds << 80
        assert is_moved == (at.year < 1970)

    async def test_a_span_reads_its_own_partitions_and_the_index_of_what_was_moved(
        self, partitioned: Connection
    ) -> None:
        filters = msgspec.structs.replace(filters_of(NOON, NOON + HOUR), status="delivered")
        query, parameters = replays.looking(filters, "many")
        parameters |= {"last_id": SOME_OCCURRENCE, "limit": 10}
        async with partitioned.transaction(force_rollback=True):
            await partitioned.execute("SET LOCAL enable_seqscan = off")
            cursor = await partitioned.execute("EXPLAIN " + query, parameters, prepare=False)
            plan = "\n".join(row[0] for row in await cursor.fetchall())

        assert set(re.findall(r"(\w+)_pkey", plan)) == {"occurrences_20260316"}
        assert "is_moved" not in plan, "the function is not inlined, so that its index cannot be used"
        assert plan.count("scheduled_at_idx") == 6
