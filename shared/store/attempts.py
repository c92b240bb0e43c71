"""The record of every HTTP request made: written once, never changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import LiteralString

import msgspec
from psycopg.types.json import Json

from shared.domain.attempts import Attempt, Outcome
from shared.domain.ids import OccurrenceId
from shared.store.pool import Connection

# As one JSON text: a client takes longer over twelve arrays.
INSERT: LiteralString = """
    INSERT INTO attempts (occurrence_id, epoch, number, started_at, duration_ms, outcome, stale,
                          status_code, response_headers, response_body, error, url)
    SELECT occurrence_id, epoch, number, started_at, duration_ms, outcome, stale,
           status_code, response_headers, response_body, error, url
      FROM json_to_recordset(%(attempts)s)
        AS made(occurrence_id uuid, epoch bigint, number integer, started_at timestamptz, duration_ms integer,
                outcome text, stale boolean, status_code smallint, response_headers jsonb, response_body text,
                error text, url text)
        ON CONFLICT DO NOTHING          -- the same batch again, after a commit whose outcome was unknown
"""

OF_OCCURRENCE: LiteralString = """
    SELECT occurrence_id, epoch, number, started_at, duration_ms, outcome, stale,
           status_code, response_headers, response_body, error, url
      FROM attempts
     WHERE occurrence_id = %(id)s
       AND (started_at, epoch) < (%(before_at)s::timestamptz, %(before_epoch)s::bigint)
     ORDER BY started_at DESC, epoch DESC
     LIMIT %(limit)s
"""

_NO_BOUND = (datetime.max.replace(tzinfo=UTC), 2**62)


async def record(conn: Connection, attempts: Sequence[Attempt]) -> None:
    """Write attempts down; one that is there already stays as it is."""
    await conn.execute(INSERT, {"attempts": Json(attempts)})


async def of_occurrence(
    conn: Connection, occurrence_id: OccurrenceId, *, before: tuple[datetime, int] | None, limit: int
) -> list[Attempt]:
    """Return the newest attempts of an occurrence, older than `before` (start and epoch)."""
    before_at, before_epoch = before or _NO_BOUND
    parameters = {"id": occurrence_id, "before_at": before_at, "before_epoch": before_epoch, "limit": limit}
    cursor = await conn.execute(OF_OCCURRENCE, parameters, binary=True)
    return [
        Attempt(
            occurrence_id=id_,
            epoch=epoch,
            number=number,
            started_at=started_at,
            duration_ms=duration_ms,
            outcome=Outcome(outcome),
            stale=stale,
            status_code=status_code,
            response_headers=None if headers is None else msgspec.json.decode(headers),
            response_body=body,
            error=error,
            url=url,
        )
        for (
            id_, epoch, number, started_at, duration_ms, outcome, stale, status_code, headers, body, error, url,
        ) in await cursor.fetchall()
    ]  # fmt: skip
