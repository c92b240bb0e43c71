"""Plan an event's next delivery: one place for the API, which plans the first, and the scheduler, which plans on.

An active event with a future has exactly one waiting delivery of its timing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from shared.domain.deliveries import PlannedDelivery
from shared.domain.ids import EventId, occurrence_id_of
from shared.recurrence import Occurrence, Series
from shared.store import deliveries
from shared.store.events import Plan
from shared.store.pool import Connection


def series_of(plan: Plan) -> Series:
    """Return the instants of an event's timing."""
    timing = plan.timing
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
        chained=plan.timing.schedule is not None or bool(plan.timing.rdates),
    )


async def plan_next(conn: Connection, wanted: Sequence[tuple[Plan, datetime]]) -> dict[EventId, datetime]:
    """Insert the next delivery of each event after an instant; return the times of those that have one.

    An occurrence that has a delivery or a record of its own already (moved, cancelled) is passed over.
    """
    found: dict[EventId, datetime] = {}
    rest = list(wanted)
    while rest:
        candidates = [
            (plan, planned(plan, occurrence))
            for plan, after in rest
            if (occurrence := series_of(plan).next_after(after)) is not None
        ]
        if not candidates:
            break
        new = await deliveries.insert(conn, [delivery for _, delivery in candidates])
        found |= {d.event_id: d.scheduled_at for _, d in candidates if d.occurrence_id in new}
        rest = [(plan, d.scheduled_at) for plan, d in candidates if d.occurrence_id not in new]
    return found
