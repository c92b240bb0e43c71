"""The versions of events: what each one was, who made it and what it changed."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

import msgspec

from shared.domain.content import Content
from shared.domain.ids import EventId
from shared.errors import NotFound
from shared.store.pool import Connection

LATEST = 2**31 - 1


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One change of an event."""

    version: int
    change: str
    fields: list[str]
    changed_by: str
    changed_at: datetime


NEWEST: LiteralString = """
    SELECT version, change, fields, changed_by, changed_at
      FROM event_versions
     WHERE event_id = %(event_id)s AND version < %(before)s
     ORDER BY version DESC
     LIMIT %(limit)s
"""

GET: LiteralString = """
    SELECT version, change, fields, changed_by, changed_at, content
      FROM event_versions
     WHERE event_id = %(event_id)s AND version = %(version)s
"""


async def newest(conn: Connection, event_id: EventId, *, before: int | None, limit: int) -> list[Version]:
    """Return the newest versions of an event, below `before`."""
    parameters = {"event_id": event_id, "before": LATEST if before is None else before, "limit": limit}
    cursor = await conn.execute(NEWEST, parameters, binary=True)
    return [
        Version(version=version, change=change, fields=fields, changed_by=changed_by, changed_at=changed_at)
        for version, change, fields, changed_by, changed_at in await cursor.fetchall()
    ]


async def get(conn: Connection, event_id: EventId, version: int) -> tuple[Version, Content]:
    """Return a version of an event and what the event was then; NotFound when there is no such version."""
    cursor = await conn.execute(GET, {"event_id": event_id, "version": version}, binary=True)
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"There is no version {version} of the event {event_id}.", code="version_not_found")
    number, change, fields, changed_by, changed_at, content = row
    found = Version(version=number, change=change, fields=fields, changed_by=changed_by, changed_at=changed_at)
    return found, msgspec.json.decode(content, type=Content)
