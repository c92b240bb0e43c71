"""The body that a receiver gets: the standard one, or the event's own template with its values."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from typing import Literal
from uuid import UUID

import msgspec

from shared.domain import template
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


def body_of(due: DueDelivery, zone_of: Callable[[str], tzinfo]) -> bytes:
    """Return the JSON to send for the attempt that is about to start; BodyTooLarge when a template comes to too much.

    `zone_of` finds a time zone by its name.
    """
    if due.content.body is None:
        return msgspec.json.encode(_standard(due))
    return template.render(due.content.body, _values(due, zone_of))


def _standard(due: DueDelivery) -> OccurrenceDue:
    content = due.content
    return OccurrenceDue(
        event_id=due.event_id,
        occurrence_id=due.occurrence_id,
        event_version=due.event_version,
        name=content.name,
        description=content.description,
        scheduled_at=due.scheduled_at,
        recurrence_id=due.recurrence_id,
        tags=content.tags,
        metadata=_metadata(due),
        delivery=_facts(due),
    )


def _values(due: DueDelivery, zone_of: Callable[[str], tzinfo]) -> dict[str, Json]:
    """Return the value of every placeholder."""
    content = due.content
    return {
        "event.id": str(due.event_id),
        "event.name": content.name,
        "event.description": content.description,
        "event.tags": content.tags,
        "event.version": due.event_version,
        "event.metadata": _metadata(due),
        "occurrence.id": str(due.occurrence_id),
        "occurrence.scheduled_at": msgspec.to_builtins(due.scheduled_at),
        "occurrence.recurrence_id": due.recurrence_id,
        "occurrence.local": msgspec.to_builtins(due.scheduled_at.astimezone(zone_of(content.timing.timezone))),
        **{f"delivery.{name}": value for name, value in msgspec.structs.asdict(_facts(due)).items()},
    }


def _metadata(due: DueDelivery) -> dict[str, Json]:
    return due.content.metadata | due.metadata if due.metadata else due.content.metadata


def _facts(due: DueDelivery) -> DeliveryFacts:
    return DeliveryFacts(
        attempt=due.attempts + 1,
        max_attempts=due.last_attempt,
        late_by_ms=max(0, (due.now - due.scheduled_at) // _MILLISECOND),
        missed_count=due.missed_count,
        catch_up=due.catch_up,
        replay=due.replay,
    )
