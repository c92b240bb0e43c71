"""Let a stopped event go on: one place for the API, which is asked to, and the scheduler, when a pause ends by itself.

What came due meanwhile is delivered or recorded as skipped, by the wish of whoever resumes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from shared import overdue, planning
from shared.domain import misfire
from shared.domain.content import MisfirePolicy
from shared.domain.events import Event
from shared.store import events, occurrences, planned_deliveries
from shared.store.pool import Connection

ResumeFrom = Literal["now", "latest", "all"]

_POLICIES: dict[ResumeFrom, MisfirePolicy] = {"now": "skip", "latest": "latest", "all": "all"}


async def resume(conn: Connection, event: Event, *, since: datetime, now: datetime, wish: ResumeFrom, by: str) -> Event:
    """Make a stopped event active again, or completed where nothing is left to come. The caller holds its row.

    `since` is from when on it has delivered nothing.
    """
    resumed = msgspec.structs.replace(
        event, version=event.version + 1, status="active", status_reason=None, updated_at=now
    )
    await occurrences.forget_cancelled(conn, event.id, after=now)
    cancelled = await occurrences.cancelled_after(conn, [event.id], after=since)
    resumed = msgspec.structs.replace(resumed, cancelled=cancelled.get(event.id, frozenset()))
    await _settle(conn, resumed, since=since, now=now, policy=_POLICIES[wish])
    plan = planning.plan_of(resumed)
    await planning.plan_next(conn, [(plan, now)])
    await planning.plan_moved(conn, plan, after=now)
    if not await planned_deliveries.any_of_event(conn, event.id):
        resumed = msgspec.structs.replace(resumed, status="completed")
    await events.change(conn, resumed, change="resumed", fields=[], by=by)
    await events.set_stop(conn, event.id, stopped_at=None, paused_until=None)
    return resumed


async def _settle(conn: Connection, event: Event, *, since: datetime, now: datetime, policy: MisfirePolicy) -> None:
    """Deliver the newest of what came due as the policy says, and record those before them as skipped."""
    plan = planning.plan_of(event)
    series = planning.series_of(plan)
    first = series.next_after(since, inclusive=True)
    if first is None or first.scheduled_at > now:
        return
    due = overdue.divide(series, since=since, until=now, not_before=since, most=misfire.MOST_DELIVERED[policy])
    if due.left_out:
        skipped = planning.planned(plan, first)
        await occurrences.record_skipped(conn, [skipped], reason="paused", each_counts=due.left_out)
    if due.delivered:
        left_out = due.left_out if policy == "latest" else 0
        await planned_deliveries.insert(conn, planning.caught_up(plan, due.delivered, begin=now, left_out=left_out))
