from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.deliveries import Finished
from shared.domain.events import Event
from shared.domain.ids import OccurrenceId, trigger_id_at
from shared.store import attempts, deliveries, partitions, planned_deliveries
from shared.store.pool import Connection, Pool, open_pool
from tests.factories import DAY, NOON, a_waiting, an_event, attempt_of, planned_of, states_of
from tests.integration.waiting import until_blocked
from tests.servers import Databases

MONDAY = datetime(2026, 3, 16, tzinfo=UTC)
WEEK = timedelta(weeks=1)
MILLISECOND = timedelta(milliseconds=1)
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture(scope="module")
def unpartitioned(databases: Databases) -> Generator[str]:
    """A database that no scheduler has run on: one makes partitions for good."""
    url = databases.create()
    yield url
    databases.drop(url)


@pytest_asyncio.fixture
async def fresh(unpartitioned: str) -> AsyncGenerator[Pool]:
    async with open_pool(unpartitioned, name="test", size=2) as pool:
        yield pool


@pytest_asyncio.fixture
async def changing(fresh: Pool) -> AsyncGenerator[Connection]:
    """A connection whose work, partitions included, is undone after the test."""
    async with fresh.connection() as conn, conn.transaction(force_rollback=True):
        yield conn


async def an_occurrence(conn: Connection, event: Event, at: datetime) -> OccurrenceId:
    """Finish a delivery of that time."""
    await a_waiting(conn, event, at)
    [claim] = await deliveries.claim_due(conn, now=at, limit=1)
    await deliveries.finish(conn, [Finished(claim.occurrence_id, claim.epoch, "delivered", None, 1)])
    return claim.occurrence_id


async def an_attempt(conn: Connection, at: datetime) -> OccurrenceId:
    """Record an attempt that started then, of an occurrence that is stored nowhere."""
    attempt = msgspec.structs.replace(attempt_of(trigger_id_at(at)), started_at=at)
    await attempts.record(conn, [attempt])
    return attempt.occurrence_id


async def places_of(conn: Connection) -> dict[OccurrenceId, str]:
    """Return the partition that each occurrence and each attempt is in."""
    cursor = await conn.execute("""
        SELECT id, tableoid::regclass::text FROM occurrences
         UNION ALL
        SELECT occurrence_id, tableoid::regclass::text FROM attempts
    """)
    return dict(await cursor.fetchall())


async def partitions_of(conn: Connection) -> set[str]:
    cursor = await conn.execute("""
        SELECT inhrelid::regclass::text FROM pg_inherits
         WHERE inhparent IN ('occurrences'::regclass, 'attempts'::regclass)
    """)
    return {row[0] for row in await cursor.fetchall()}


class TestWeeks:
    @pytest.mark.parametrize("now", [MONDAY, MONDAY + MICROSECOND, NOON, MONDAY + WEEK - MICROSECOND])
    def test_a_week_runs_from_monday_in_utc(self, now: datetime) -> None:
        assert list(partitions.weeks(now, ahead=2)) == [MONDAY, MONDAY + WEEK, MONDAY + 2 * WEEK]

    def test_nothing_ahead_is_this_week_alone(self) -> None:
        assert list(partitions.weeks(NOON, ahead=0)) == [MONDAY]

    @given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
    def test_this_week_holds_now(self, now: datetime) -> None:
        [start] = partitions.weeks(now, ahead=0)

        assert start <= now < start + WEEK
        assert (start.weekday(), start.time()) == (0, datetime.min.time())


class TestMakeAhead:
    async def test_this_week_and_the_next_ones_are_made_for_both_tables(self, changing: Connection) -> None:
        made = await partitions.make_ahead(changing, now=NOON, ahead=2)

        assert made == [
            "occurrences_20260316", "attempts_20260316",
            "occurrences_20260323", "attempts_20260323",
            "occurrences_20260330", "attempts_20260330",
        ]  # fmt: skip
        assert await partitions_of(changing) == {*made, "occurrences_default", "attempts_default"}

    async def test_a_second_time_makes_nothing(self, changing: Connection) -> None:
        await partitions.make_ahead(changing, now=NOON, ahead=2)

        assert await partitions.make_ahead(changing, now=NOON + DAY, ahead=2) == []

    async def test_a_week_later_one_week_is_missing(self, changing: Connection) -> None:
        await partitions.make_ahead(changing, now=NOON, ahead=2)

        made = await partitions.make_ahead(changing, now=NOON + WEEK, ahead=2)

        assert made == ["occurrences_20260406", "attempts_20260406"]

    async def test_a_second_process_at_the_same_time_makes_none(self, fresh: Pool, changing: Connection) -> None:
        await partitions.make_ahead(changing, now=NOON, ahead=1)

        async with fresh.connection() as other:
            assert await partitions.make_ahead(other, now=NOON, ahead=1) == []

    async def test_a_partition_has_the_keys_and_indexes_of_its_table(self, changing: Connection) -> None:
        await partitions.make_ahead(changing, now=NOON, ahead=0)

        cursor = await changing.execute("""
            SELECT tablename, count(*) FROM pg_indexes
             WHERE tablename IN ('occurrences', 'occurrences_20260316', 'attempts', 'attempts_20260316')
             GROUP BY tablename
        """)
        indexes = dict(await cursor.fetchall())
        assert indexes["occurrences_20260316"] == indexes["occurrences"]
        assert indexes["attempts_20260316"] == indexes["attempts"]


class TestRows:
    async def test_a_row_lands_in_the_partition_of_its_week(self, changing: Connection) -> None:
        await partitions.make_ahead(changing, now=NOON, ahead=1)
        event = await an_event(changing)

        places = {
            await an_occurrence(changing, event, MONDAY - MILLISECOND): "occurrences_default",
            await an_occurrence(changing, event, MONDAY): "occurrences_20260316",
            await an_occurrence(changing, event, MONDAY + WEEK - MILLISECOND): "occurrences_20260316",
            await an_occurrence(changing, event, MONDAY + WEEK): "occurrences_20260323",
            await an_occurrence(changing, event, MONDAY + 2 * WEEK): "occurrences_default",
            await an_attempt(changing, MONDAY - MICROSECOND): "attempts_default",
            await an_attempt(changing, MONDAY): "attempts_20260316",
            await an_attempt(changing, MONDAY + WEEK - MICROSECOND): "attempts_20260316",
            await an_attempt(changing, MONDAY + WEEK): "attempts_20260323",
            await an_attempt(changing, MONDAY + 2 * WEEK): "attempts_default",
        }

        assert await places_of(changing) == places

    async def test_what_the_net_had_caught_is_moved(self, changing: Connection) -> None:
        event = await an_event(changing)
        caught = [
            await an_occurrence(changing, event, MONDAY),
            await an_occurrence(changing, event, MONDAY + WEEK - MILLISECOND),
            await an_attempt(changing, MONDAY),
            await an_attempt(changing, MONDAY + WEEK - MICROSECOND),
        ]
        others = [
            await an_occurrence(changing, event, MONDAY - MILLISECOND),
            await an_occurrence(changing, event, MONDAY + WEEK),
            await an_attempt(changing, MONDAY - MICROSECOND),
            await an_attempt(changing, MONDAY + WEEK),
        ]

        await partitions.make_ahead(changing, now=NOON, ahead=0)

        places = await places_of(changing)
        assert [places[id_] for id_ in caught] == ["occurrences_20260316"] * 2 + ["attempts_20260316"] * 2
        assert [places[id_] for id_ in others] == ["occurrences_default"] * 2 + ["attempts_default"] * 2
        assert len(places) == len(caught) + len(others)

    async def test_what_was_moved_is_found_as_before(self, changing: Connection) -> None:
        event = await an_event(changing)
        id_ = await an_occurrence(changing, event, NOON)
        attempted = await an_attempt(changing, NOON)

        await partitions.make_ahead(changing, now=NOON, ahead=0)

        assert await states_of(changing, event.id) == {id_: "delivered"}
        assert await planned_deliveries.insert(changing, [planned_of(event, NOON)]) == set()
        assert len(await attempts.of_occurrence(changing, attempted, before=None, limit=10)) == 1

    async def test_who_writes_meanwhile_waits_and_lands_in_the_new_partition(self, databases: Databases) -> None:
        url = databases.create()
        async with open_pool(url, name="test", size=2) as pool, pool.connection() as maker, pool.connection() as writer:
            event = await an_event(writer)
            await a_waiting(writer, event, NOON)
            [claim] = await deliveries.claim_due(writer, now=NOON, limit=1)
            finished = Finished(claim.occurrence_id, claim.epoch, "delivered", None, 1)
            async with maker.transaction():
                await partitions.make_ahead(maker, now=NOON, ahead=0)
                writing = asyncio.create_task(deliveries.finish(writer, [finished]))
                await until_blocked(maker, writer)

            await writing

            assert await places_of(writer) == {claim.occurrence_id: "occurrences_20260316"}
        databases.drop(url)
