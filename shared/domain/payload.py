"""The body that a receiver gets."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from shared.domain.content import Json
from shared.domain.deliveries import DueDelivery

_MILLISECOND = timedelta(milliseconds=1)


class DeliveryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """About this attempt rather than about the occurrence."""

    attempt: int
    max_attempts: int
    late_by_ms: int
    missed_count: int
    catch_up: bool
    replay: bool


class OccurrenceDue(msgspec.Struct, frozen=True, kw_only=True):
    """The standard body."""

    type: Literal["occurrence.due"] = "occurrence.due"
    event_id: UUID
    occurrence_id: UUID
    event_version: int
    name: str
    description: str
    scheduled_at: datetime
    recurrence_id: str | None
    tags: tuple[str, ...]
    metadata: dict[str, Json]
    delivery: DeliveryFacts


def body_of(due: DueDelivery) -> bytes:
    """Return the JSON to send for the attempt that is about to start."""
    content = due.content
    return msgspec.json.encode(
        OccurrenceDue(
            event_id=due.event_id,
            occurrence_id=due.occurrence_id,
            event_version=due.event_version,
            name=content.name,
            description=content.description,
            scheduled_at=due.scheduled_at,
            recurrence_id=due.recurrence_id,
            tags=content.tags,
            metadata=content.metadata | due.metadata if due.metadata else content.metadata,
            delivery=DeliveryFacts(
                attempt=due.attempts + 1,
                max_attempts=content.retry.max_attempts,
                late_by_ms=max(0, (due.now - due.scheduled_at) // _MILLISECOND),
                missed_count=due.missed_count,
                catch_up=due.catch_up,
                replay=due.replay,
            ),
        )
    )
