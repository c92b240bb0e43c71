"""The events and the content of their versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, LiteralString
from uuid import UUID

import msgspec
from psycopg.errors import UniqueViolation
from psycopg.types.json import Json

from shared.domain.content import Content, Misfire, Timing
from shared.domain.events import Event
from shared.domain.ids import EventId
from shared.domain.overrides import Override
from shared.errors import AlreadyExists, NotFound
from shared.store import audit, creations, occurrences, overrides, selections
from shared.store import sight as sights
from shared.store.pool import Connection
from shared.store.selections import Selection
from shared.store.sight import Sight

Change = Literal["created", "updated", "paused", "resumed", "deleted", "restored"]


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of events is narrowed by; None: not at all."""

    tags: list[str] | None = None
    any_tags: list[str] | None = None
    status: str | None = None
    name: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


SELECT: LiteralString = """
    SELECT e.id, e.version, e.status, e.status_reason, v.content, e.has_hmac_secret,
           e.created_by, e.created_at, e.updated_at
      FROM (SELECT e.id, e.version, e.status, e.status_reason, e.hmac_secret IS NOT NULL AS has_hmac_secret,
                   e.created_by, e.created_at, e.updated_at
              FROM events AS e
             WHERE TRUE
"""
# Only what a page shows is joined with its content.
CONTENT: LiteralString = """
           ) AS e
      JOIN event_versions AS v ON v.event_id = e.id AND v.version = e.version
     ORDER BY e.created_at DESC, e.id DESC
"""
WITH_ID: LiteralString = " AND e.id = %(id)s"
LOCK: LiteralString = "SELECT FROM events WHERE id = ANY (%(ids)s) ORDER BY id FOR NO KEY UPDATE"

GATHERED: LiteralString = " AND e.id = ANY (ARRAY (" + selections.IDS
# Each condition is added only when its parameter is given, so that every query has a plan of its own.
CONDITIONS: dict[str, LiteralString] = {
    "before_id": " AND (e.created_at, e.id) < (%(before_at)s, %(before_id)s)",
    "status": " AND e.status = %(status)s",
    "name": " AND strpos(lower(e.name), lower(%(name)s)) > 0",
    "created_after": " AND e.created_at > %(created_after)s",
    "created_before": " AND e.created_at < %(created_before)s",
}
NOT_DELETED: LiteralString = " AND e.status <> 'deleted'"
NEWEST: LiteralString = " ORDER BY e.created_at DESC, e.id DESC LIMIT %(limit)s"

# Overrides and, with no word on `excluded`, what was cancelled.
CANCELLED: LiteralString = "UNION ALL SELECT event_id, recurrence_id, NULL, NULL, NULL FROM ("
CHANGED: LiteralString = overrides.OF_EVENTS + CANCELLED + occurrences.CANCELLED_AFTER + ") AS cancelled"

CHANGE: LiteralString = """
    WITH event AS (
        UPDATE events
           SET version = %(version)s, status = %(status)s, status_reason = %(status_reason)s,
               name = %(name)s, tags = %(tags)s, webhook_url = %(webhook_url)s, external_id = %(external_id)s,
               likeness = likeness_of(%(name)s, %(webhook_url)s, %(schedule)s), updated_at = %(now)s
         WHERE id = %(id)s
    )
    INSERT INTO event_versions (event_id, version, content, change, fields, changed_by, changed_at, request_id)
    VALUES (%(id)s, %(version)s, %(content)s, %(change)s, %(fields)s, %(by)s, %(now)s, %(request_id)s)
"""

TO_PLAN: LiteralString = """
    SELECT e.id, e.version, e.status, e.webhook_url, v.content -> 'timing', v.content -> 'misfire'
      FROM events AS e
      JOIN event_versions AS v ON v.event_id = e.id AND v.version = e.version
     WHERE e.id = ANY (%(ids)s) AND v.event_id = ANY (%(ids)s)
       FOR SHARE OF e SKIP LOCKED
"""

COMPLETE: LiteralString = """
    UPDATE events AS e
       SET status = 'completed', updated_at = now()
      FROM (SELECT id, version FROM events
             WHERE id = ANY (%(ids)s) AND status = 'active'
               AND NOT EXISTS (SELECT FROM deliveries AS d
                                WHERE d.event_id = ANY (%(ids)s) AND d.event_id = events.id)
             ORDER BY id) AS seen
     WHERE e.id = ANY (%(ids)s) AND e.id = seen.id
       AND e.version = seen.version     -- changed meanwhile: it may have a future again
       AND e.status = 'active'
"""

REVIVE: LiteralString = """
    UPDATE events SET status = 'active', updated_at = now() WHERE id = %(id)s AND status = 'completed'
"""

DISABLE: LiteralString = """
    UPDATE events SET status = 'disabled', status_reason = %(reason)s, updated_at = now(), stopped_at = now()
     WHERE id = ANY (%(ids)s) AND status IN ('active', 'paused', 'completed')
"""


SET_STOP: LiteralString = """
    UPDATE events SET stopped_at = %(stopped_at)s, paused_until = %(paused_until)s WHERE id = %(id)s
"""

STOPPED_AT: LiteralString = "SELECT stopped_at FROM events WHERE id = %(id)s"

TO_RESUME: LiteralString = """
    SELECT id FROM events
     WHERE status = 'paused' AND paused_until <= now()
     ORDER BY paused_until
     LIMIT %(limit)s
       FOR NO KEY UPDATE SKIP LOCKED
"""

SWEEP: LiteralString = """
    UPDATE events AS e
       SET status = 'completed', updated_at = now()
     WHERE e.status = 'active'
       AND e.updated_at < now() - interval '5 minutes'
       AND NOT EXISTS (SELECT FROM deliveries AS d WHERE d.event_id = e.id)
"""


class Plan(msgspec.Struct, frozen=True):
    """What is needed to find an event's next occurrence."""

    event_id: EventId
    version: int
    webhook_url: str
    timing: Timing
    misfire: Misfire = Misfire()
    overrides: Mapping[str, Override] = {}


async def get(conn: Connection, event_id: EventId, *, sight: Sight) -> Event:
    """Return one event, deleted ones included; NotFound when there is none in sight."""
    query, parameters = _seen_by(sight)
    cursor = await conn.execute(query + WITH_ID + CONTENT, {**parameters, "id": event_id}, binary=True)
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"There is no event {event_id}.", code="event_not_found")
    [event] = await _with_changes(conn, [_event(row)])
    return event


async def get_to_change(conn: Connection, event_id: EventId, *, sight: Sight) -> Event:
    """Like `get`, and nobody else changes the event until the transaction ends.

    The lock comes first, in a statement of its own: the read that follows sees what the one before us wrote.
    """
    await lock(conn, [event_id])
    return await get(conn, event_id, sight=sight)


async def lock(conn: Connection, ids: Sequence[EventId]) -> None:
    """Let nobody else change these events until the transaction ends."""
    await conn.execute(LOCK, {"ids": list(ids)})


async def newest(
    conn: Connection, filters: Filters, *, sight: Sight, before: tuple[datetime, UUID] | None, limit: int
) -> list[Event]:
    """Return the newest events that pass, older than `before` (creation time and id)."""
    before_at, before_id = before or (None, None)
    given = {
        "status": filters.status,
        "name": filters.name,
        "created_after": filters.created_after,
        "created_before": filters.created_before,
        "before_id": before_id,
    }
    selection = Selection(sight=sight, tags=filters.tags, any_tags=filters.any_tags)
    extent = await selections.extent(conn, selection)
    selected, parameters = selections.condition(selection)
    if extent == "none":
        return []
    query = SELECT
    for name, condition in CONDITIONS.items():
        if given[name] is not None:
            query += condition
    if filters.status is None:
        query += NOT_DELETED
    query += selected if extent == "many" else GATHERED + selected + "))"
    parameters |= {**given, "before_at": before_at, "limit": limit}
    cursor = await conn.execute(query + NEWEST + CONTENT, parameters, binary=True, prepare=False)
    return await _with_changes(conn, [_event(row) for row in await cursor.fetchall()])


async def change(conn: Connection, event: Event, *, change: Change, fields: Sequence[str], by: str) -> None:
    """Write `event` as the new version that it says it is. The caller holds its row.

    AlreadyExists when another live event of the same creator has its `external_id`; nobody else is told which one, for
    it may be out of their sight.
    """
    own = {"change": change, "fields": list(fields), "by": by, "request_id": audit.request_id()}
    parameters = _shown(event) | own
    if event.content.external_id is None or event.status == "deleted":
        await conn.execute(CHANGE, parameters)
        return
    try:
        async with conn.transaction():
            await conn.execute(CHANGE, parameters)
    except UniqueViolation:
        holders = await creations.holders(conn, [event]) if by == event.created_by else {}
        raise AlreadyExists({"/external_id": holders.get(event.id)}) from None


async def to_plan(conn: Connection, ids: Sequence[EventId]) -> dict[EventId, Plan | None]:
    """Return what is needed to plan on for events, which nobody changes until the transaction ends.

    None for one that is not active and has no future. An event that is being changed right now is left out instead of
    waited for: its row's owner may wait for us.
    """
    cursor = await conn.execute(TO_PLAN, {"ids": list(ids)}, binary=True)
    rows = await cursor.fetchall()
    changed = await overrides.of_events(conn, ids)  # after the locks: a statement of its own sees the last change
    return {
        id_: Plan(
            id_,
            version,
            webhook_url,
            msgspec.json.decode(timing, type=Timing),
            msgspec.json.decode(misfire, type=Misfire) if misfire else Misfire(),
            changed.get(id_, {}),
        )
        if status == "active"
        else None
        for id_, version, status, webhook_url, timing, misfire in rows
    }


async def complete_finished(conn: Connection, ids: Sequence[EventId]) -> None:
    """Mark those of the active events completed that have no delivery left.

    Outside of the transaction that ended the deliveries: of two that end an event's last ones, the later sees both.
    """
    await conn.execute(COMPLETE, {"ids": list(ids)})


async def revive(conn: Connection, event_id: EventId) -> None:
    """Make an event active again that was completed and has got a delivery since. The caller holds its row."""
    await conn.execute(REVIVE, {"id": event_id})


async def set_stop(
    conn: Connection, event_id: EventId, *, stopped_at: datetime | None, paused_until: datetime | None
) -> None:
    """Remember from when on an event delivers nothing, and when that ends by itself."""
    parameters = {"id": event_id, "stopped_at": stopped_at, "paused_until": paused_until}
    await conn.execute(SET_STOP, parameters)


async def stopped_at(conn: Connection, event_id: EventId) -> datetime | None:
    """Return from when on an event delivers nothing; None when it does."""
    cursor = await conn.execute(STOPPED_AT, {"id": event_id}, binary=True)
    row = await cursor.fetchone()
    return row[0] if row else None


async def to_resume(conn: Connection, *, limit: int) -> list[EventId]:
    """Return events whose pause is over, which nobody else changes until the transaction ends."""
    cursor = await conn.execute(TO_RESUME, {"limit": limit}, binary=True)
    return [row[0] for row in await cursor.fetchall()]


async def sweep_finished(conn: Connection) -> int:
    """Complete the events whose last delivery's owner died before it could; return how many."""
    cursor = await conn.execute(SWEEP)
    return cursor.rowcount


async def disable(conn: Connection, ids: Sequence[EventId], *, reason: str) -> None:
    """Stop events whose receiver said that it is gone."""
    await conn.execute(DISABLE, {"ids": list(ids), "reason": reason})


async def _with_changes(conn: Connection, found: list[Event]) -> list[Event]:
    """Add what is changed about single occurrences."""
    if not found:
        return found
    cursor = await conn.execute(CHANGED, {"ids": [event.id for event in found], "after": None}, binary=True)
    changed: dict[EventId, dict[str, Override]] = {}
    cancelled: dict[EventId, frozenset[str]] = {}
    for id_, recurrence_id, excluded, scheduled_at, webhook_url in await cursor.fetchall():
        if excluded is None:
            cancelled[id_] = cancelled.get(id_, frozenset()) | {recurrence_id}
        else:
            override = Override(excluded=excluded, scheduled_at=scheduled_at, webhook_url=webhook_url)
            changed.setdefault(id_, {})[recurrence_id] = override
    return [
        msgspec.structs.replace(
            event, overrides=changed.get(event.id, {}), cancelled=cancelled.get(event.id, frozenset())
        )
        if event.id in changed or event.id in cancelled
        else event
        for event in found
    ]


def _seen_by(sight: Sight) -> tuple[LiteralString, dict[str, object]]:
    condition, parameters = sights.condition(sight)
    return SELECT + condition, parameters


def _shown(event: Event) -> dict[str, object]:
    content = event.content
    return {
        "id": event.id,
        "version": event.version,
        "status": event.status,
        "status_reason": event.status_reason,
        "name": content.name,
        "tags": list(content.tags),
        "webhook_url": content.webhook_url,
        "external_id": content.external_id,
        "schedule": content.timing.schedule,
        "content": Json(content),
        "now": event.updated_at,
    }


def _event(row: tuple[Any, ...]) -> Event:
    id_, version, status, reason, content, has_hmac_secret, created_by, created_at, updated_at = row
    return Event(
        id=id_,
        version=version,
        status=status,
        status_reason=reason,
        content=msgspec.json.decode(content, type=Content),
        has_hmac_secret=has_hmac_secret,
        created_by=created_by,
        created_at=created_at,
        updated_at=updated_at,
    )
