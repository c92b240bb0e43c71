"""What the API writes: an event, its version and its deliveries, together in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from services.api import bodies, checks, drafts
from services.api.callers import Caller
from services.api.context import Context
from services.api.drafts import Draft
from shared import planning
from shared.domain.content import Json, Timing
from shared.domain.deliveries import Occurrence, PlannedDelivery
from shared.domain.destinations import destination_of
from shared.domain.events import Event
from shared.domain.ids import EventId, event_id_at, trigger_id_at
from shared.domain.secrets import EventSecrets
from shared.errors import Conflict, Invalid, NotFound, PreconditionFailed
from shared.store import deliveries, events, occurrences, secrets
from shared.store.deliveries import HORIZON
from shared.store.pool import Connection
from shared.store.sight import EVERYTHING


def etag(event: Event) -> str:
    """Return the entity tag of an event's current version."""
    return f'"{event.version}"'


async def create(context: Context, draft: Draft, *, by: str) -> Event:
    """Store a new event and plan its first delivery."""
    now = context.clock.now()
    event = Event(
        id=event_id_at(now),
        version=1,
        status="active",
        status_reason=None,
        content=draft.content,
        has_hmac_secret=draft.hmac_secret is not None,
        created_by=by,
        created_at=now,
        updated_at=now,
    )
    first = planning.next_of(planning.plan_of(event), _beginning(event.content.timing, now))
    secret = _sealed(context, event.id, draft.hmac_secret)
    async with context.pool.connection() as conn:
        await events.insert(conn, event, hmac_secret=secret, planned=[] if first is None else [first])
    _nudge_if_soon(context, None if first is None else first.scheduled_at)
    return event


async def update(
    context: Context, event_id: EventId, patch: Mapping[str, Json], *, caller: Caller, if_match: str | None
) -> Event:
    """Merge a change into an event and plan anew what its timing had planned, where that has changed."""
    next_at = None
    async with context.pool.connection() as conn, conn.transaction():
        before = await events.get_to_change(conn, event_id, sight=caller.sight)
        if before.status == "deleted":
            raise NotFound(f"The event {event_id} is deleted.", code="event_not_found")
        if if_match is not None and not _matches(if_match, before):
            raise PreconditionFailed(f"The event is at version {etag(before)} by now.")
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
            await planning.record_excluded(conn, planning.plan_of(after), after=after.updated_at)
        if after.content.timing != before.content.timing and before.status in ("active", "completed"):
            once = before.content.timing.schedule is None
            last_planned_at = await deliveries.unplan(conn, event_id, overdue=once)
            next_at = await _plan(conn, after, after=last_planned_at, before=before.content.timing)
            has_future = next_at is not None or await deliveries.any_of_event(conn, event_id)
            after = msgspec.structs.replace(after, status="active" if has_future else "completed")
        if "webhook_url" in fields:
            await deliveries.redirect_event(conn, event_id, destination_of(after.content.webhook_url))
        await events.change(conn, after, change="updated", fields=fields, by=caller.sub)
    _nudge_if_soon(context, next_at)
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
        await deliveries.cancel_of_event(conn, event_id, reason="event_deleted")


async def trigger(context: Context, event_id: EventId, wanted: bodies.Trigger, *, caller: Caller) -> Occurrence:
    """Let an event run now, once."""
    if wanted.metadata is not None and (problems := list(checks.metadata(wanted.metadata))):
        raise Invalid(problems)
    now = context.clock.now()
    async with context.pool.connection() as conn, conn.transaction():
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
        await deliveries.insert(conn, [planned])
        occurrence = await occurrences.get(conn, planned.occurrence_id, sight=EVERYTHING)
    context.nudger.soon()
    return occurrence


async def _plan(conn: Connection, event: Event, *, after: datetime, before: Timing) -> datetime | None:
    """Plan the next delivery of an event's new timing after an instant, and its moved ones; return the first's time."""
    timing = event.content.timing
    if timing.start_at != before.start_at:
        after = _beginning(timing, after)
    plan = planning.plan_of(event)
    next_at = (await planning.plan_next(conn, [(plan, after)])).get(event.id)
    moved_at = await planning.plan_moved(conn, plan, after=after)
    return min((at for at in (next_at, moved_at) if at is not None), default=None)


def _beginning(timing: Timing, now: datetime) -> datetime:
    """Return after what instant a new timing is planned: a single time that has just passed is delivered at once."""
    return now if timing.recurs else min(now, timing.start_at - datetime.resolution)


def _sealed(context: Context, event_id: EventId, secret: str | None) -> str | None:
    return None if secret is None else context.seals.seal(secret, event_id)


def _matches(if_match: str, event: Event) -> bool:
    """Compare entity tags (RFC 9110 section 13.1.1); weak ones never match."""
    return if_match.strip() == "*" or etag(event) in (tag.strip() for tag in if_match.split(","))


def _nudge_if_soon(context: Context, next_at: datetime | None) -> None:
    if next_at is not None and next_at <= context.clock.now() + HORIZON:
        context.nudger.soon()
