"""Let a stopped event go on: one place for the API, which is asked to, and the scheduler, when a pause ends by itself.

What came due meanwhile is delivered or recorded as skipped, by the wish of whoever resumes.
"""

from __future__ import annotations

from datetime import datetime
from itertools import islice, takewhile
from typing import Literal

import msgspec

from shared import planning
from shared.domain import misfire
from shared.domain.content import Misfire, MisfirePolicy
from shared.domain.events import Event
from shared.store import deliveries, events, occurrences
from shared.store.pool import Connection

ResumeFrom = Literal["now", "latest", "all"]

_POLICIES: dict[ResumeFrom, MisfirePolicy] = {"now": "skip", "latest": "latest", "all": "all"}
_NO_LIMIT = "P3660D"
_MOST_WALKED = 20_000


async def resume(conn: Connection, event: Event, *, since: datetime, now: datetime, wish: ResumeFrom, by: str) -> Event:
    """Make a stopped event active again, or completed where nothing is left to come. The caller holds its row.

    `since` is from when on it has delivered nothing.
    """
    resumed = msgspec.structs.replace(
        event, version=event.version + 1, status="active", status_reason=None, updated_at=now
    )
    await occurrences.forget_cancelled(conn, event.id, after=now)
    await _settle(conn, resumed, since=since, now=now, policy=_POLICIES[wish])
    plan = planning.plan_of(resumed)
    await planning.plan_next(conn, [(plan, now)])
    await planning.plan_moved(conn, plan, after=now)
    if not await deliveries.any_of_event(conn, event.id):
        resumed = msgspec.structs.replace(resumed, status="completed")
    await events.change(conn, resumed, change="resumed", fields=[], by=by)
    await events.set_stop(conn, event.id, stopped_at=None, paused_until=None)
    return resumed


async def _settle(conn: Connection, event: Event, *, since: datetime, now: datetime, policy: MisfirePolicy) -> None:
    """Deliver the newest of what came due as the policy says, and record those before them as skipped."""
    plan = planning.plan_of(event)
    coming = planning.series_of(plan).occurrences(since)
    due = list(islice(takewhile(lambda o: o.scheduled_at <= now, coming), _MOST_WALKED))
    times = [o.scheduled_at for o in due]
    delivered = misfire.newest_to_deliver(times, Misfire(policy=policy, grace=_NO_LIMIT), now=now)
    skipped = len(due) - delivered
    if skipped:
        await occurrences.record_skipped(conn, planning.planned(plan, due[0]), reason="paused", count=skipped)
    caught_up = planning.caught_up(plan, due[skipped:], now=now, missed=skipped if policy == "latest" else 0)
    if caught_up:
        await deliveries.insert(conn, caught_up)
