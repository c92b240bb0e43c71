"""The secrets that sign an event's deliveries. They are kept out of its versions."""

from __future__ import annotations

from typing import LiteralString

import msgspec
from psycopg.types.json import Json

from shared.domain.ids import EventId
from shared.domain.secrets import EventSecrets, PreviousSecret
from shared.store.pool import Connection

READ: LiteralString = "SELECT hmac_secret, previous_secrets FROM events WHERE id = %(id)s"

WRITE: LiteralString = """
    UPDATE events SET hmac_secret = %(current)s, previous_secrets = %(previous)s WHERE id = %(id)s
"""


async def read(conn: Connection, event_id: EventId) -> EventSecrets:
    """Return the secrets of an event that is there."""
    cursor = await conn.execute(READ, {"id": event_id}, binary=True)
    [(current, previous)] = await cursor.fetchall()
    return decoded(current, previous)


async def write(conn: Connection, event_id: EventId, secrets: EventSecrets) -> None:
    """Sign with these from now on. The caller holds the event's row."""
    previous = Json(secrets.previous) if secrets.previous else None
    await conn.execute(WRITE, {"id": event_id, "current": secrets.current, "previous": previous})


def decoded(current: str | None, previous: bytes | None) -> EventSecrets:
    """Return the secrets that two columns of an event hold."""
    if previous is None:
        return EventSecrets(current)
    return EventSecrets(current, msgspec.json.decode(previous, type=tuple[PreviousSecret, ...]))
