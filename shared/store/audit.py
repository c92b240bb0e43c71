"""Who did what: the trail of changes that no version of an event tells of.

An entry is written in the transaction that does what it says, and never changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, LiteralString

import msgspec
from psycopg.types.json import Json
from structlog.contextvars import get_contextvars

from shared.domain.ids import EventId, OccurrenceId, TokenId
from shared.store.pool import Connection

Action = Literal[
    "event.triggered",
    "override.changed",
    "override.dropped",
    "occurrence.cancelled",
    "occurrence.replayed",
    "occurrences.replayed",
    "token.created",
    "token.revoked",
]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that somebody did; `details` hold no secret."""

    action: Action
    sub: str
    event_id: EventId | None = None
    occurrence_id: OccurrenceId | None = None
    token_id: TokenId | None = None
    details: Mapping[str, object] = {}


INSERT: LiteralString = """
    INSERT INTO audit (request_id, sub, action, event_id, occurrence_id, token_id, details)
    VALUES (%(request_id)s, %(sub)s, %(action)s, %(event_id)s, %(occurrence_id)s, %(token_id)s, %(details)s)
"""


async def write(conn: Connection, entry: Entry) -> None:
    """Add an entry to the trail."""
    parameters = {**msgspec.structs.asdict(entry), "details": Json(entry.details), "request_id": request_id()}
    await conn.execute(INSERT, parameters)


def request_id() -> str | None:
    """Return the id that log lines give to the request that is being served; None outside of one."""
    return get_contextvars().get("request_id")
