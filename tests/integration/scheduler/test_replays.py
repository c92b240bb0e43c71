from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec
import pytest

from services.scheduler import replays as worker
from shared.domain.deliveries import Finished
from shared.domain.events import Event
from shared.domain.ids import OccurrenceId
from shared.store import deliveries, replays, selections
from shared.store.pool import Connection, Pool
from shared.store.replays import Filters
from shared.store.sight import EVERYTHING, Sight
from tests.factories import HOUR, NOON, SECOND, a_waiting, an_event, content_of, states_of


async def failures(conn: Connection, event: Event, number: int) -> list[OccurrenceId]:
    """Finish so many occurrences, a second apart from noon on, as dead letters."""
    ids = [(await a_waiting(conn, event, NOON + n * SECOND)).occurrence_id for n in range(number)]
    await fail_what_is_due(conn)
    return ids


async def fail_what_is_due(conn: Connection) -> int:
    claims = await deliveries.claim_due(conn, limit=1000)
    await deliveries.finish(conn, [Finished(c.occurrence_id, c.epoch, "failed", "of_test", 1) for c in claims])
    return len(claims)


async def ask_for(conn: Connection, start: datetime = NOON, *, sight: Sight = EVERYTHING) -> None:
    filters = Filters(status="failed", scheduled_from=start, scheduled_to=NOON + HOUR, sight=sight)
    async with conn.transaction():
        await replays.insert(conn, filters, by="alice", matched=await replays.count(conn, filters))


async def run_on(pool: Pool, conn: Connection) -> None:
    """Make one pass, as if the pause before it were over."""
    await conn.execute("UPDATE replays SET next_at = now()")
    await worker.run_once(pool, asyncio.Event())


async def progress(conn: Connection) -> list[tuple[int, int, bool]]:
    """Return how many matched and are done, and whether it is finished, of each replay."""
    cursor = await conn.execute("SELECT matched, done, finished_at IS NOT NULL FROM replays ORDER BY id")
    return [(matched, done, finished) for matched, done, finished in await cursor.fetchall()]


async def replayed(conn: Connection) -> list[OccurrenceId]:
    cursor = await conn.execute("SELECT occurrence_id FROM deliveries WHERE replay ORDER BY occurrence_id", binary=True)
    return [row[0] for row in await cursor.fetchall()]


async def test_without_a_replay_there_is_nothing_to_do(pool: Pool) -> None:
    wake = asyncio.Event()

    assert await worker.run_once(pool, wake) == worker.EVERY
    assert not wake.is_set()


async def test_what_matches_is_delivered_again(pool: Pool, conn: Connection) -> None:
    ids = await failures(conn, await an_event(conn), 3)
    await ask_for(conn, NOON + SECOND)
    wake = asyncio.Event()

    await worker.run_once(pool, wake)

    assert await replayed(conn) == ids[1:]
    assert await progress(conn) == [(2, 2, True)]
    assert wake.is_set()


async def test_it_goes_in_batches_and_each_pass_begins_where_the_one_before_ended(
    pool: Pool, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BATCH", 2)
    monkeypatch.setattr(worker, "EVERY", HOUR)
    ids = await failures(conn, await an_event(conn), 5)
    await ask_for(conn)

    await worker.run_once(pool, asyncio.Event())
    assert await progress(conn) == [(5, 2, False)]
    assert await worker.run_once(pool, asyncio.Event()) == HOUR, "the pace is not kept"
    assert await replayed(conn) == ids[:2]

    await run_on(pool, conn)
    await run_on(pool, conn)
    assert await progress(conn) == [(5, 5, True)]
    assert await replayed(conn) == ids


async def test_what_fails_again_is_not_replayed_again_by_the_same_one(
    pool: Pool, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BATCH", 2)
    event = await an_event(conn)
    await failures(conn, event, 4)
    await ask_for(conn)

    for _ in range(4):
        await run_on(pool, conn)
        await fail_what_is_due(conn)

    assert await progress(conn) == [(4, 4, True)]
    assert await fail_what_is_due(conn) == 0
    cursor = await conn.execute("SELECT attempt_count FROM occurrences")
    assert await cursor.fetchall() == [(2,)] * 4


async def test_what_failed_after_it_was_asked_for_is_none_of_its_business(pool: Pool, conn: Connection) -> None:
    event = await an_event(conn)
    await ask_for(conn)
    await failures(conn, event, 2)

    await run_on(pool, conn)

    assert await replayed(conn) == []
    assert await progress(conn) == [(0, 0, True)]


async def test_it_reaches_no_further_than_its_token(pool: Pool, conn: Connection) -> None:
    mine = await an_event(conn, msgspec.structs.replace(content_of(), tags=("user:alice",)))
    [in_sight] = await failures(conn, mine, 1)
    await failures(conn, await an_event(conn), 1)
    await ask_for(conn, sight=Sight(prefixes=["user:"]))

    await run_on(pool, conn)

    assert await replayed(conn) == [in_sight]
    assert await progress(conn) == [(1, 1, True)]


async def asked_for_behind_four_of_another(conn: Connection) -> OccurrenceId:
    """Ask for the failures of one event, of which there is one, later than four of an event out of sight."""
    mine = await an_event(conn, msgspec.structs.replace(content_of(), tags=("user:alice",)))
    await failures(conn, await an_event(conn), 4)
    late = (await a_waiting(conn, mine, NOON + 10 * SECOND)).occurrence_id
    await fail_what_is_due(conn)
    await ask_for(conn, sight=Sight(tags=["user:alice"]))
    return late


async def test_many_records_out_of_sight_do_not_end_it(
    pool: Pool, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MOST_LOOKED_AT", 2)
    monkeypatch.setattr(selections, "FEW", 0)
    late = await asked_for_behind_four_of_another(conn)

    await run_on(pool, conn)
    await run_on(pool, conn)
    assert await progress(conn) == [(1, 0, False)]

    await run_on(pool, conn)
    assert await replayed(conn) == [late]
    assert await progress(conn) == [(1, 1, True)]


async def test_of_few_events_no_other_records_are_looked_at(
    pool: Pool, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MOST_LOOKED_AT", 2)
    late = await asked_for_behind_four_of_another(conn)

    await run_on(pool, conn)

    assert await progress(conn) == [(1, 1, True)]
    assert await replayed(conn) == [late]


async def test_a_scheduler_that_dies_in_a_batch_leaves_it_to_the_next(
    pool: Pool, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BATCH", 2)
    event = await an_event(conn)
    ids = await failures(conn, event, 4)
    await ask_for(conn)
    await run_on(pool, conn)

    async with pool.connection() as dying, dying.transaction(force_rollback=True):
        await dying.execute("UPDATE replays SET next_at = now()")
        replay = await replays.take(dying)
        assert replay is not None
        await replays.start(dying, await replays.look(dying, replay, limit=2))

    assert await progress(conn) == [(4, 2, False)]
    await run_on(pool, conn)
    await run_on(pool, conn)
    assert await replayed(conn) == ids
    assert await states_of(conn, event.id) == dict.fromkeys(ids, "scheduled")


async def test_one_scheduler_at_a_time_works_on_a_replay(pool: Pool, conn: Connection) -> None:
    await failures(conn, await an_event(conn), 1)
    await ask_for(conn)

    async with pool.connection() as other, other.transaction():
        assert await replays.take(other) is not None
        assert await worker.run_once(pool, asyncio.Event()) == worker.EVERY

    assert await progress(conn) == [(1, 0, False)]
