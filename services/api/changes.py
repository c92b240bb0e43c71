"""What the API writes: an event, its version and its deliveries, together in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from services.api import bodies, drafts
from services.api.callers import Caller
from services.api.context import Context
from services.api.creations import beginning
from shared import planning
from shared.domain.content import Json
from shared.domain.deliveries import Occurrence, PlannedDelivery
from shared.domain.destinations import destination_of
from shared.domain.events import Event
from shared.domain.ids import EventId, trigger_id_at
from shared.domain.secrets import EventSecrets
from shared.errors import Conflict, NotFound, PreconditionFailed
from shared.store import audit, events, occurrences, planned_deliveries, secrets
from shared.store.audit import Entry
from shared.store.deliveries import HORIZON
from shared.store.pool import Connection
from shared.store.sight import EVERYTHING


def etag(event: Event) -> str:
    """Return the entity tag of an event's current version."""
    return f'"{event.version}"'


async def update(
    context: Context, event_id: EventId, patch: Mapping[str, Json], *, caller: Caller, if_match: str | None
) -> Event:
    """Merge a change into an event and plan anew what its timing had planned, where that has changed."""
    next_at = None
    async with context.pool.connection() as conn, conn.transaction():
        before = await events.get_to_change(conn, event_id, sight=caller.sight)
        if before.status == "deleted":
            raise NotFound(f"The event {event_id} is deleted.", code="event_not_found")
        require_match(if_match, before)
        document = drafts.merged(before.content, patch)
        draft = drafts.read(document, now=context.clock.now(), config=context.config, before=before.content)
        caller.require_in_scope(draft.content.tags)
        fields = drafts.changed_fields(before.content, draft.content)
        if "hmac_secret" in patch:
            await secrets.write(conn, event_id, EventSecrets(_sealed(context, event_id, draft.hmac_secret)))
            fields.append("hmac_secret")
        if not fields:
            return before
        after = msgspec.structs.replace(
            before,
            version=before.version + 1,
            content=draft.content,
            has_hmac_secret=draft.hmac_secret is not None if "hmac_secret" in patch else before.has_hmac_secret,
            updated_at=context.clock.now(),
        )
        if after.content.timing != before.content.timing:
            starts_anew = after.content.timing.start_at != before.content.timing.start_at
            after, next_at = await replan(conn, before, after, from_start=starts_anew)
        if after.status == "active":
            await context.quotas.require_revival(conn, caller, before)
        if "webhook_url" in fields:
            await planned_deliveries.redirect_event(conn, event_id, destination_of(after.content.webhook_url))
        await events.change(conn, after, change="updated", fields=fields, by=caller.sub)
    nudge_if_soon(context, next_at)
    return after


async def delete(context: Context, event_id: EventId, *, caller: Caller) -> None:
    """Delete an event and end its deliveries that have not begun. NotFound only when it is out of sight."""
    async with context.pool.connection() as conn, conn.transaction():
        try:
            before = await events.get_to_change(conn, event_id, sight=EVERYTHING)
        except NotFound:
            return
        await events.get(conn, event_id, sight=caller.sight)
        if before.status == "deleted":
            return
        after = msgspec.structs.replace(
            before,
            version=before.version + 1,
            status="deleted",
            status_reason=None,
            updated_at=context.clock.now(),
        )
        await events.change(conn, after, change="deleted", fields=[], by=caller.sub)
        await planned_deliveries.cancel_of_event(conn, event_id, reason="event_deleted")


async def trigger(
    context: Context, conn: Connection, event_id: EventId, wanted: bodies.Trigger, *, caller: Caller
) -> Occurrence:
    """Let an event run now, once."""
    now = context.clock.now()
    async with conn.transaction():
        event = await events.get_to_change(conn, event_id, sight=caller.sight)
        if event.status == "deleted":
            raise NotFound(f"The event {event_id} is deleted.", code="event_not_found")
        if event.status == "disabled":
            raise Conflict("The event is disabled; resume it first.", code="event_disabled")
        planned = PlannedDelivery(
            occurrence_id=trigger_id_at(now),
            event_id=event_id,
            event_version=event.version,
            scheduled_at=now,
            recurrence_id=None,
            destination=destination_of(event.content.webhook_url),
            chained=False,
            metadata=wanted.metadata,
        )
        await planned_deliveries.insert(conn, [planned])
        triggered = Entry(
            action="event.triggered", sub=caller.sub, event_id=event_id, occurrence_id=planned.occurrence_id
        )
        await audit.write(conn, triggered)
        return await occurrences.get(conn, planned.occurrence_id, sight=EVERYTHING)


async def replan(
    conn: Connection, before: Event, after: Event, *, from_start: bool = False
) -> tuple[Event, datetime | None]:
    """Let the deliveries of an event follow its new timing; return it with its status then, and when the first is due.

    `from_start` delivers a single time that has just passed. The caller holds the event's row.
    """
    await planning.record_excluded(conn, planning.plan_of(after), after=after.updated_at)
    if after.status not in ("active", "completed"):
        return after, None
    last_planned_at = await planned_deliveries.unplan(conn, after.id, overdue=before.content.timing.schedule is None)
    start = beginning(after.content.timing, last_planned_at) if from_start else last_planned_at
    next_at = await _plan(conn, after, after=start)
    has_future = next_at is not None or await planned_deliveries.any_of_event(conn, after.id)
    return msgspec.structs.replace(after, status="active" if has_future else "completed"), next_at


def require_match(if_match: str | None, event: Event) -> None:
    """Raise PreconditionFailed when a change is meant for another version of the event."""
    if if_match is not None and not _matches(if_match, event):
        raise PreconditionFailed(f"The event is at version {etag(event)} by now.")


async def _plan(conn: Connection, event: Event, *, after: datetime) -> datetime | None:
    """Plan the next delivery of an event's timing after an instant, and its moved ones; return the first's time."""
    plan = planning.plan_of(event)
    next_at = (await planning.plan_next(conn, [(plan, after)])).get(event.id)
    moved_at = await planning.plan_moved(conn, plan, after=after)
    return min((at for at in (next_at, moved_at) if at is not None), default=None)


def _sealed(context: Context, event_id: EventId, secret: str | None) -> str | None:
    return None if secret is None else context.seals.seal(secret, event_id)


def _matches(if_match: str, event: Event) -> bool:
    """Compare entity tags (RFC 9110 section 13.1.1); weak ones never match."""
    return if_match.strip() == "*" or etag(event) in (tag.strip() for tag in if_match.split(","))


def nudge_if_soon(context: Context, next_at: datetime | None) -> None:
    """Wake the schedulers for a delivery that they would see too late by themselves."""
    if next_at is not None and next_at <= context.clock.now() + HORIZON:
        context.nudger.soon()
