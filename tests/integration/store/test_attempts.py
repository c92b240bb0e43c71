from __future__ import annotations

import msgspec

from shared.domain.attempts import Attempt, Outcome
from shared.store import attempts
from shared.store.pool import Connection
from tests.factories import NOON, SECOND, attempt_of


async def recorded(conn: Connection, attempt: Attempt, *, before: Attempt | None = None) -> list[Attempt]:
    bound = (before.started_at, before.epoch) if before else None
    return await attempts.of_occurrence(conn, attempt.occurrence_id, before=bound, limit=10)


async def test_an_attempt_comes_back_as_it_was_recorded(conn: Connection) -> None:
    attempt = msgspec.structs.replace(
        attempt_of(outcome=Outcome.HTTP_ERROR),
        status_code=500,
        response_headers={"server": "ngïnx", "x-odd": "\N{REPLACEMENT CHARACTER}"},
        response_body="Oh no 🌱",
        error="trouble",
        stale=True,
    )

    await attempts.record(conn, [attempt])

    assert await recorded(conn, attempt) == [attempt]


async def test_recording_twice_keeps_the_first(conn: Connection) -> None:
    attempt = attempt_of()
    await attempts.record(conn, [attempt])

    await attempts.record(conn, [msgspec.structs.replace(attempt, stale=True, duration_ms=9), attempt_of(number=2)])

    assert sorted(await recorded(conn, attempt), key=lambda each: each.number) == [attempt, attempt_of(number=2)]


async def test_two_claims_that_made_the_same_attempt_are_both_recorded(conn: Connection) -> None:
    attempt = attempt_of()
    stale = msgspec.structs.replace(attempt, epoch=attempt.epoch + 1, stale=True)

    await attempts.record(conn, [attempt, stale])

    assert await recorded(conn, attempt) == [stale, attempt]


async def test_the_newest_come_first_and_pages_do_not_overlap(conn: Connection) -> None:
    made = [
        msgspec.structs.replace(attempt_of(number=number), started_at=NOON + number * SECOND) for number in (1, 2, 3)
    ]
    await attempts.record(conn, made)

    assert await recorded(conn, made[0]) == made[::-1]
    assert await recorded(conn, made[0], before=made[1]) == [made[0]]


async def test_attempts_without_a_partition_of_their_own_are_kept(conn: Connection) -> None:
    await attempts.record(conn, [attempt_of()])

    cursor = await conn.execute("SELECT count(*) FROM attempts_default")
    assert await cursor.fetchall() == [(1,)]
