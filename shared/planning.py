"""Plan an event's next delivery: one place for the API, which plans the first, and the scheduler, which plans on.

An active event with a future has exactly one waiting delivery of its timing: the chain, over what is in its place. Each
moved occurrence has one of its own beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from shared.domain import destinations
from shared.domain.content import Timing
from shared.domain.deliveries import PlannedDelivery
from shared.domain.destinations import DestinationId
from shared.domain.events import Event
from shared.domain.ids import EventId, OccurrenceId, occurrence_id_of
from shared.domain.overrides import Override
from shared.recurrence import Occurrence, Overridden, Series
from shared.store import occurrences, planned_deliveries
from shared.store.events import Plan
from shared.store.pool import Connection

PACE = timedelta(seconds=1)
"""Between two overdue occurrences of an event that are delivered late."""


def plan_of(event: Event) -> Plan:
    """Return what is needed to find an event's next occurrence."""
    content = event.content
    overrides = {**event.overrides, **dict.fromkeys(event.cancelled, Override(excluded=True))}
    return Plan(event.id, event.version, content.webhook_url, content.timing, content.misfire, overrides)


def series_of(plan: Plan) -> Overridden:
    """Return the instants of an event's timing, as overrides change them."""
    return Overridden(series=series_of_timing(plan.timing), overrides=plan.overrides)


def series_of_timing(timing: Timing) -> Series:
    """Return the instants of a timing, before any override."""
    return Series(
        start_at=timing.start_at,
        start_local=timing.start_local,
        zone=timing.timezone,
        rule=timing.schedule,
        effective_until=timing.schedule_until,
        rdates=timing.rdates,
        exdates=timing.exdates,
        dst_gap=timing.dst_gap,
    )


def planned(plan: Plan, occurrence: Occurrence) -> PlannedDelivery:
    """Return the delivery that waits for an occurrence."""
    return PlannedDelivery(
        occurrence_id=occurrence_id_of(plan.event_id, occurrence.recurrence_id, occurrence.original_at),
        event_id=plan.event_id,
        event_version=plan.version,
        scheduled_at=occurrence.scheduled_at,
        recurrence_id=occurrence.recurrence_id,
        destination=_destination_of(plan, occurrence.recurrence_id),
        chained="moved" not in occurrence.flags and plan.timing.recurs,
    )


def next_of(plan: Plan, after: datetime) -> PlannedDelivery | None:
    """Return what an event's chain goes on with: the delivery of the next occurrence neither moved nor excluded."""
    found = next((o for o in series_of(plan).in_place(after) if o.scheduled_at > after), None)
    return None if found is None else planned(plan, found)


def caught_up(plan: Plan, overdue: Sequence[Occurrence], *, begin: datetime, left_out: int) -> list[PlannedDelivery]:
    """Return the deliveries of overdue occurrences, in order, one a second from `begin` on.

    `left_out` is the number of those before them that are not delivered.
    """
    return [
        msgspec.structs.replace(
            planned(plan, occurrence),
            chained=False,
            catch_up=True,
            missed_count=left_out,
            due_at=begin + PACE * number,
        )
        for number, occurrence in enumerate(overdue)
    ]


async def plan_next(conn: Connection, wanted: Sequence[tuple[Plan, datetime]]) -> dict[EventId, datetime]:
    """Insert the next delivery of each event's chain after an instant; return the times of those that have one.

    An occurrence that has a delivery or a record of its own already (cancelled) is passed over.
    """
    found: dict[EventId, datetime] = {}
    rest = list(wanted)
    while rest:
        candidates = [(plan, delivery) for plan, after in rest if (delivery := next_of(plan, after)) is not None]
        if not candidates:
            break
        new = await planned_deliveries.insert(conn, [delivery for _, delivery in candidates])
        found |= {d.event_id: d.scheduled_at for _, d in candidates if d.occurrence_id in new}
        rest = [(plan, d.scheduled_at) for plan, d in candidates if d.occurrence_id not in new]
    return found


async def plan_moved(conn: Connection, plan: Plan, *, after: datetime) -> datetime | None:
    """Insert the deliveries of an event's moved occurrences after an instant; return the time of the first new one."""
    moved = [planned(plan, occurrence) for occurrence in series_of(plan).moved if occurrence.scheduled_at > after]
    new = await planned_deliveries.insert(conn, moved) if moved else set[OccurrenceId]()
    return min((d.scheduled_at for d in moved if d.occurrence_id in new), default=None)


async def record_excluded(conn: Connection, plan: Plan, *, after: datetime) -> None:
    """Let the record say which of an event's occurrences after an instant are left out by overrides, and no others."""
    await occurrences.forget_excluded(conn, plan.event_id, after=after)
    excluded = [planned(plan, occurrence) for occurrence in series_of(plan).excluded if occurrence.scheduled_at > after]
    if excluded:
        await occurrences.record_skipped(conn, excluded, reason="excluded")


def _destination_of(plan: Plan, recurrence_id: str) -> DestinationId:
    override = plan.overrides.get(recurrence_id)
    return destinations.destination_of((override and override.webhook_url) or plan.webhook_url)
