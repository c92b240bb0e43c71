"""Let an event be again what one of its versions was.

The content is judged by today's rules, but not by the clock: where nothing of it is left to come, the event is
completed. What came due in the meantime is not made up for.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from services.api import changes, drafts
from services.api.callers import Caller
from services.api.context import Context
from shared.domain.destinations import destination_of
from shared.domain.events import Event
from shared.domain.ids import EventId
from shared.store import events, occurrences, planned_deliveries, versions
from shared.store.pool import Connection


async def restore(context: Context, event_id: EventId, number: int, *, caller: Caller, if_match: str | None) -> Event:
    """Write a new version with the content of version `number`; a deleted event lives again."""
    next_at = None
    async with context.pool.connection() as conn, conn.transaction():
        before = await events.get_to_change(conn, event_id, sight=caller.sight)
        changes.require_match(if_match, before)
        now = context.clock.now()
        _, content = await versions.get(conn, event_id, number)
        document = drafts.merged(content, {})
        content = drafts.read(document, now=now, config=context.config, before=content).content
        caller.require_in_scope(content.tags)
        fields = drafts.changed_fields(before.content, content)
        after = msgspec.structs.replace(before, version=before.version + 1, content=content, updated_at=now)
        if before.status == "deleted":
            after = await _revived(conn, after, now=now)
        if before.status == "deleted" or content.timing != before.content.timing:
            after, next_at = await changes.replan(conn, before, after)
        if after.status == "active":
            await context.quotas.require_revival(conn, caller, before)
        if "webhook_url" in fields:
            await planned_deliveries.redirect_event(conn, event_id, destination_of(content.webhook_url))
        await events.change(conn, after, change="restored", fields=fields, by=caller.sub)
    changes.nudge_if_soon(context, next_at)
    return after


async def _revived(conn: Connection, event: Event, *, now: datetime) -> Event:
    """Let a deleted event be active, with those of its occurrences to come that went with it."""
    await occurrences.forget_cancelled(conn, event.id, after=now)
    cancelled = await occurrences.cancelled_after(conn, [event.id])
    await events.set_stop(conn, event.id, stopped_at=None, paused_until=None)
    return msgspec.structs.replace(event, status="active", cancelled=cancelled.get(event.id, frozenset()))
