"""Stop an event for a while, and let it go on."""

from __future__ import annotations

from datetime import datetime

import msgspec

from services.api.callers import Caller
from services.api.context import Context
from shared import resuming
from shared.domain.events import Event
from shared.domain.ids import EventId
from shared.errors import Conflict, NotFound
from shared.resuming import ResumeFrom
from shared.store import events, planned_deliveries
from shared.store.pool import Connection


async def pause(
    context: Context, event_id: EventId, *, note: str | None, until: datetime | None, caller: Caller
) -> Event:
    """Stop an event. Pausing it again changes why, and until when."""
    async with context.pool.connection() as conn, conn.transaction():
        before = await _stoppable(conn, event_id, caller)
        if before.status not in ("active", "paused"):
            raise Conflict(f"The event is {before.status}.", code="event_not_active")
        now = context.clock.now()
        dropped_at = await planned_deliveries.drop_planned(conn, event_id)
        since = await events.stopped_at(conn, event_id) or min(now, dropped_at or now)
        after = msgspec.structs.replace(
            before, version=before.version + 1, status="paused", status_reason=note or "paused", updated_at=now
        )
        await events.change(conn, after, change="paused", fields=[], by=caller.sub)
        await events.set_stop(conn, event_id, stopped_at=since, paused_until=until)
    return after


async def resume(context: Context, event_id: EventId, wish: ResumeFrom, *, caller: Caller) -> Event:
    """Let a paused or disabled event go on; one that is active already stays as it is."""
    async with context.pool.connection() as conn, conn.transaction():
        before = await _stoppable(conn, event_id, caller)
        if before.status == "active":
            return before
        if before.status == "completed":
            raise Conflict("The event is completed.", code="event_completed")
        await context.quotas.require_revival(conn, caller, before)
        since = await events.stopped_at(conn, event_id) or before.updated_at
        now = context.clock.now()
        after = await resuming.resume(conn, before, since=since, now=now, wish=wish, by=caller.sub)
    context.nudger.soon()
    return after


async def _stoppable(conn: Connection, event_id: EventId, caller: Caller) -> Event:
    event = await events.get_to_change(conn, event_id, sight=caller.sight)
    if event.status == "deleted":
        raise NotFound(f"The event {event_id} is deleted.", code="event_not_found")
    return event
