"""Deliveries of the tests of their store at further stations, and how their rows look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from shared.domain.deliveries import ClaimedDelivery, Finished, Retried
from shared.domain.events import Event
from shared.domain.ids import OccurrenceId
from shared.store import deliveries
from shared.store.pool import Connection
from tests.factories import MINUTE, a_claimed, held_by


def ids_of(claimed: Sequence[ClaimedDelivery]) -> list[OccurrenceId]:
    return [claim.occurrence_id for claim in claimed]


def ended(claim: ClaimedDelivery, *, epoch: int | None = None) -> Finished:
    return Finished(claim.occurrence_id, claim.epoch if epoch is None else epoch, "delivered", None, 1)


def failed(claim: ClaimedDelivery, *, epoch: int | None = None, after: timedelta = MINUTE) -> Retried:
    return Retried(claim.occurrence_id, claim.epoch if epoch is None else epoch, after)


async def a_begun(conn: Connection, event: Event, scheduled_at: datetime | None = None) -> ClaimedDelivery:
    """Store an overdue delivery, claim it and begin its attempt."""
    claim = await a_claimed(conn, event, scheduled_at)
    assert len(await deliveries.begin(conn, [held_by(claim)])) == 1
    return claim


async def row_of(conn: Connection, occurrence_id: OccurrenceId) -> tuple[Any, ...] | None:
    cursor = await conn.execute("SELECT * FROM deliveries WHERE occurrence_id = %s", [occurrence_id])
    return await cursor.fetchone()


async def field_of(conn: Connection, occurrence_id: OccurrenceId, name: str) -> Any:
    cursor = await conn.execute("SELECT to_jsonb(d) -> %s FROM deliveries AS d WHERE occurrence_id = %s",
                                [name, occurrence_id])  # fmt: skip
    [row] = await cursor.fetchall()
    return msgspec.json.decode(row[0])
