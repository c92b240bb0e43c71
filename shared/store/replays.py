"""Replays: finished occurrences become deliveries again, one at a client's wish or as many as match.

A replay keeps the occurrence's id, and its epoch and attempts go on where the record left them. The record is gone
until the replay has ended, so that an occurrence is always in one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import LiteralString
from uuid import UUID

import msgspec
from psycopg.types.json import Json

from shared.domain.deliveries import FinalStatus
from shared.domain.destinations import destination_of
from shared.domain.ids import EventId, OccurrenceId
from shared.store import planned_deliveries, selections
from shared.store.occurrence_lists import IN_PLACE, MOVED, OF_FEW, span_of
from shared.store.pool import Connection
from shared.store.selections import Extent, Selection
from shared.store.sight import Sight


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which finished occurrences are meant."""

    status: FinalStatus
    scheduled_from: datetime
    scheduled_to: datetime
    """Inclusive."""
    event_id: EventId | None = None
    tags: list[str] | None = None
    """The event has all of them."""
    sight: Sight


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Occurrences that are delivered again by and by."""

    id: int
    filters: Filters
    created_at: datetime
    """What finished later is none of its business: that has been replayed, perhaps by this very replay."""
    last_id: UUID
    """It has come so far."""


# The epoch goes on by one: a result of the last claim that is written twice must not end the replay.
# What was cancelled before its time still waits for it: never early.
START: LiteralString = """
    WITH finished AS (
        DELETE FROM occurrences
         WHERE id = ANY (%(ids)s) AND updated_at < coalesce(%(finished_before)s, 'infinity'::timestamptz)
     RETURNING id, event_id, event_version, recurrence_id, scheduled_at, epoch, attempt_count, missed_count,
               metadata, created_at
    )
    INSERT INTO deliveries (occurrence_id, event_id, event_version, recurrence_id, scheduled_at,
                            next_at, due_at, replay_at, epoch, attempts, attempts_before, missed_count, chained,
                            metadata, created_at)
    SELECT id, event_id, event_version, recurrence_id, scheduled_at,
           due_at, due_at, due_at, epoch + 1, attempt_count, attempt_count, missed_count, false,
           metadata, created_at
      FROM finished, greatest(now(), scheduled_at) AS due_at
 RETURNING occurrence_id
"""

# One at a time, by the primary keys: a join reads all events when there are not so many.
RECEIVERS: LiteralString = """
    SELECT d.occurrence_id,
           coalesce((SELECT o.webhook_url FROM event_overrides AS o
                      WHERE o.event_id = d.event_id AND o.recurrence_id = d.recurrence_id),
                    (SELECT e.webhook_url FROM events AS e WHERE e.id = d.event_id))
      FROM deliveries AS d
     WHERE d.occurrence_id = ANY (%(ids)s)
"""

COUNT: LiteralString = "SELECT count(*) FROM ("
FINISHED: LiteralString = "SELECT o.event_id FROM occurrences AS o WHERE o.status = %(status)s"
OF_EVENTS: LiteralString = ") AS o JOIN events AS e ON e.id = o.event_id WHERE TRUE"
# The moved ones are found before they are sorted, or else the planner walks all records by id in search of them.
LOOK: LiteralString = "WITH moved AS MATERIALIZED ("
NEXT: LiteralString = "SELECT o.id FROM occurrences AS o WHERE o.status = %(status)s AND o.id > %(last_id)s"
AND_IN_PLACE: LiteralString = "), in_place AS ("
OLDEST: LiteralString = " ORDER BY o.id LIMIT %(limit)s"
BOTH: LiteralString = ") SELECT o.id FROM (SELECT id FROM in_place UNION ALL SELECT id FROM moved) AS o"

SELECT: LiteralString = """
    SELECT o.id FROM occurrences AS o JOIN events AS e ON e.id = o.event_id WHERE o.id = ANY (%(ids)s)
"""
EVENT_CAN: LiteralString = " AND e.status NOT IN ('deleted', 'disabled')"
BY_ID: LiteralString = " ORDER BY o.id"

INSERT: LiteralString = """
    INSERT INTO replays (status, event_id, tags, scheduled_from, scheduled_to, sight, requested_by, matched)
    VALUES (%(status)s, %(event_id)s, %(tags)s, %(scheduled_from)s, %(scheduled_to)s, %(sight)s,
            %(by)s, %(matched)s)
"""

TAKE: LiteralString = """
    SELECT id, status, event_id, tags, scheduled_from, scheduled_to, sight, created_at, last_id
      FROM replays
     WHERE finished_at IS NULL AND next_at <= now()
     ORDER BY next_at
     LIMIT 1
       FOR NO KEY UPDATE SKIP LOCKED
"""

ADVANCE: LiteralString = """
    UPDATE replays
       SET last_id = %(last_id)s, done = done + %(started)s, next_at = now() + %(pause)s,
           finished_at = CASE WHEN %(finished)s THEN now() END
     WHERE id = %(id)s
"""


async def start(
    conn: Connection, ids: Sequence[OccurrenceId], *, finished_before: datetime | None = None
) -> set[OccurrenceId]:
    """Make deliveries of finished occurrences; return those that were finished, and before an instant."""
    cursor = await conn.execute(START, {"ids": list(ids), "finished_before": finished_before}, binary=True)
    started: list[OccurrenceId] = [row[0] for row in await cursor.fetchall()]
    cursor = await conn.execute(RECEIVERS, {"ids": started}, binary=True)
    await planned_deliveries.redirect(conn, {id_: destination_of(url) for id_, url in await cursor.fetchall()})
    return set(started)


async def count(conn: Connection, filters: Filters) -> int:
    """Return how many occurrences match now."""
    extent = await selections.extent(conn, _selection(filters))
    if extent == "none":
        return 0
    query, parameters = counting(filters, extent)
    cursor = await conn.execute(query, parameters, binary=True, prepare=False)
    [(matched,)] = await cursor.fetchall()
    return matched


def counting(filters: Filters, extent: Extent) -> tuple[LiteralString, dict[str, object]]:
    """Return the query that counts what matches, and its parameters."""
    event_can, parameters = _of_events(filters)
    finished = FINISHED + _of_few(filters, extent)
    records = finished + IN_PLACE + " UNION ALL " + finished + MOVED
    return COUNT + records + OF_EVENTS + event_can, parameters | _of_records(filters)


async def insert(conn: Connection, filters: Filters, *, by: str, matched: int) -> None:
    """Let what matches be replayed."""
    parameters = {**msgspec.structs.asdict(filters), "sight": Json(filters.sight), "by": by, "matched": matched}
    await conn.execute(INSERT, parameters)


async def take(conn: Connection) -> Replay | None:
    """Return the replay whose next batch is due; no other process takes it until the transaction ends."""
    cursor = await conn.execute(TAKE, binary=True)
    row = await cursor.fetchone()
    if row is None:
        return None
    id_, status, event_id, tags, scheduled_from, scheduled_to, sight, created_at, last_id = row
    filters = Filters(
        status=status,
        scheduled_from=scheduled_from,
        scheduled_to=scheduled_to,
        event_id=event_id,
        tags=tags,
        sight=msgspec.json.decode(sight, type=Sight),
    )
    return Replay(id=id_, filters=filters, created_at=created_at, last_id=last_id)


async def look(conn: Connection, replay: Replay, *, limit: int) -> list[OccurrenceId]:
    """Return the next records that may match, by id. Whether their events do is asked later, so a pass is bounded."""
    extent = await selections.extent(conn, _selection(replay.filters))
    if extent == "none":
        return []
    query, parameters = looking(replay.filters, extent)
    parameters |= {"last_id": replay.last_id, "limit": limit}
    cursor = await conn.execute(query, parameters, binary=True, prepare=False)
    return [row[0] for row in await cursor.fetchall()]


def looking(filters: Filters, extent: Extent) -> tuple[LiteralString, dict[str, object]]:
    """Return the query for the next records, and its parameters but `last_id` and `limit`."""
    _, parameters = _of_events(filters)
    found = NEXT + _of_few(filters, extent)
    query = LOOK + found + MOVED + AND_IN_PLACE + found + IN_PLACE + OLDEST + BOTH + OLDEST
    return query, parameters | _of_records(filters)


async def matching(conn: Connection, replay: Replay, ids: Sequence[OccurrenceId]) -> list[OccurrenceId]:
    """Return those of the records whose events match, by id."""
    event_can, parameters = _of_events(replay.filters)
    parameters["ids"] = list(ids)
    cursor = await conn.execute(SELECT + event_can + BY_ID, parameters, binary=True, prepare=False)
    return [row[0] for row in await cursor.fetchall()]


async def advance(conn: Connection, replay: Replay, *, started: int, pause: timedelta, finished: bool) -> None:
    """Remember how far a replay has come, `replay.last_id`, and when it goes on."""
    parameters = {"id": replay.id, "last_id": replay.last_id, "started": started, "pause": pause, "finished": finished}
    await conn.execute(ADVANCE, parameters)


def _selection(filters: Filters) -> Selection:
    return Selection(sight=filters.sight, event_id=filters.event_id, tags=filters.tags)


def _of_few(filters: Filters, extent: Extent) -> LiteralString:
    """Return what is asked of a record's event where the events are few; of more, it is not asked one by one."""
    condition, _ = selections.condition(_selection(filters))
    return OF_FEW + selections.IDS + condition + "))" if extent == "few" else ""


def _of_records(filters: Filters) -> dict[str, object]:
    return {"status": filters.status, **span_of(filters.scheduled_from, filters.scheduled_to)}


def _of_events(filters: Filters) -> tuple[LiteralString, dict[str, object]]:
    condition, parameters = selections.condition(_selection(filters))
    return EVENT_CAN + condition, parameters
