from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from shared.domain.deliveries import Finished
from shared.domain.events import Event
from shared.domain.ids import OccurrenceId, trigger_id_at
from shared.store import attempts, deliveries, retention
from shared.store.pool import Connection
from tests.factories import DAY, NOON, SECOND, a_waiting, an_event, attempt_of

MILLISECOND = timedelta(milliseconds=1)
NOTHING = {"occurrences": 0, "attempts": 0, "replays": 0, "events": 0, "audit": 0}


async def finished(conn: Connection, event: Event, at: datetime) -> OccurrenceId:
    await a_waiting(conn, event, at)
    [claim] = await deliveries.claim_due(conn, now=at, limit=1)
    await deliveries.finish(conn, [Finished(claim.occurrence_id, claim.epoch, "delivered", None, 1)])
    return claim.occurrence_id


async def test_records_without_a_partition_of_their_own_go_by_their_time(conn: Connection) -> None:
    event = await an_event(conn)
    await finished(conn, event, NOON - MILLISECOND)
    kept = await finished(conn, event, NOON)

    assert await retention.forget_history(conn, before=NOON) == NOTHING | {"occurrences": 1}

    cursor = await conn.execute("SELECT id FROM occurrences")
    assert await cursor.fetchall() == [(kept,)]


async def test_attempts_go_by_their_start(conn: Connection) -> None:
    await attempts.record(conn, [attempt_of(trigger_id_at(NOON))])

    assert await retention.forget_history(conn, before=NOON) == NOTHING
    assert await retention.forget_history(conn, before=NOON + SECOND) == NOTHING | {"attempts": 1}


async def test_one_pass_deletes_a_batch(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    await attempts.record(conn, [attempt_of(trigger_id_at(NOON)) for _ in range(3)])

    assert (await retention.forget_history(conn, before=NOON + DAY))["attempts"] == 2
    assert (await retention.forget_history(conn, before=NOON + DAY))["attempts"] == 1


async def test_a_deleted_event_goes_with_its_versions_once_nothing_tells_of_it(conn: Connection) -> None:
    event = await an_event(conn)
    await finished(conn, event, NOON)
    other = await an_event(conn)
    await conn.execute("UPDATE events SET status = 'deleted', updated_at = %s WHERE id = %s", [NOON, event.id])

    assert await retention.forget_history(conn, before=NOON) == NOTHING
    assert await retention.forget_history(conn, before=NOON + DAY) == NOTHING | {"occurrences": 1, "events": 1}

    cursor = await conn.execute("SELECT id FROM events UNION SELECT event_id FROM event_versions")
    assert await cursor.fetchall() == [(other.id,)]


async def test_a_deleted_event_stays_while_an_attempt_of_it_runs(conn: Connection) -> None:
    event = await an_event(conn)
    await a_waiting(conn, event)
    await conn.execute("UPDATE events SET status = 'deleted', updated_at = %s", [NOON])

    assert (await retention.forget_history(conn, before=NOON + DAY))["events"] == 0


async def test_a_replay_goes_when_it_has_long_been_finished(conn: Connection) -> None:
    for finished_at in (NOON, None):
        await conn.execute(
            """
            INSERT INTO replays (status, scheduled_from, scheduled_to, sight, requested_by, matched, finished_at)
            VALUES ('failed', %(at)s, %(at)s, '{}', 'alice', 0, %(finished_at)s)
            """,
            {"at": NOON, "finished_at": finished_at},
        )

    assert (await retention.forget_history(conn, before=NOON + DAY))["replays"] == 1


async def test_a_token_is_forgotten_a_week_after_it_expired(conn: Connection) -> None:
    for days in (6, 8):
        await conn.execute(
            """
            INSERT INTO tokens (id, sub, access, scope, expires_at)
            VALUES (gen_random_uuid(), %(days)s::text, 'read', '{a}', now() - make_interval(days => %(days)s))
            """,
            {"days": days},
        )

    assert await retention.forget_tokens(conn) == 1

    cursor = await conn.execute("SELECT sub FROM tokens")
    assert await cursor.fetchall() == [("6",)]


async def test_an_idempotency_key_lives_for_a_day(conn: Connection) -> None:
    for hours in (23, 25):
        await conn.execute(
            """
            INSERT INTO idempotency_keys (sub, key, request_hash, status_code, answer, created_at)
            VALUES ('alice', %(hours)s::text, '', 201, '', now() - make_interval(hours => %(hours)s))
            """,
            {"hours": hours},
        )

    assert await retention.forget_keys(conn) == 1

    cursor = await conn.execute("SELECT key FROM idempotency_keys")
    assert await cursor.fetchall() == [("23",)]


async def test_the_audit_trail_is_kept_as_long_as_the_history(conn: Connection) -> None:
    for at in (NOON - SECOND, NOON):
        await conn.execute("INSERT INTO audit (at, sub, action) VALUES (%s, 'alice', 'event.triggered')", [at])

    assert await retention.forget_history(conn, before=NOON) == NOTHING | {"audit": 1}

    cursor = await conn.execute("SELECT at FROM audit")
    assert await cursor.fetchall() == [(NOON,)]
