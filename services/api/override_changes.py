"""What the API writes about single occurrences, together with the deliveries that follow from it.

Everything happens under the event's lock, so that no scheduler plans on by what is just being changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from services.api import bodies, checks, instants
from services.api.callers import Caller
from services.api.context import Context
from services.api.findings import Findings
from shared import planning, recurrence
from shared.domain.content import Json
from shared.domain.events import Event
from shared.domain.ids import EventId, OccurrenceId, occurrence_id_of
from shared.domain.overrides import Override, StoredOverride
from shared.errors import Conflict, Invalid, InvalidSchedule, NotFound
from shared.recurrence import Occurrence
from shared.store import audit, events, overrides, planned_deliveries
from shared.store.audit import Entry
from shared.store.deliveries import HORIZON
from shared.store.pool import Connection

MOST_OVERRIDES = 1000
"""Of one event: every one is looked at whenever the event is planned on."""
ONLY_ANSWERED = frozenset({"recurrence_id", "original_at", "created_at"})

_CHANGEABLE = ("scheduled_at", "metadata", "webhook_url")
_NOTHING = Override()


async def put(
    context: Context, event_id: EventId, recurrence_id: str, document: Mapping[str, Json], *, caller: Caller
) -> StoredOverride:
    """Change one occurrence that is still to come; what was changed about it before is replaced."""
    async with context.pool.connection() as conn, conn.transaction():
        event = await _to_change(conn, event_id, caller)
        now = context.clock.now()
        found, wanted = read(context, event, recurrence_id, document, now=now)
        key = found.recurrence_id
        if key not in event.overrides and len(event.overrides) >= MOST_OVERRIDES:
            raise Conflict(f"The event has {MOST_OVERRIDES} overrides; drop old ones first.", code="too_many_overrides")
        before, after = event.overrides.get(key, _NOTHING), _override_of(wanted)
        if time_of(found, before) <= now or (not after.excluded and time_of(found, after) <= now):
            raise _due(found)
        stored = await overrides.put(conn, event_id, wanted)
        details = {
            "recurrence_id": key,
            "excluded": wanted.excluded,
            "scheduled_at": wanted.scheduled_at,
            "fields": [name for name in _CHANGEABLE if getattr(wanted, name) is not None],
        }
        entry = Entry(action="override.changed", sub=caller.sub, event_id=event_id, details=details)
        await audit.write(conn, entry)
        changed = msgspec.structs.replace(event, overrides={**event.overrides, key: after})
        next_at = await _replan(conn, changed, found, before, now=now)
        if next_at is not None:
            await _revive(context, conn, event, caller)
    await _settle(context, event_id, next_at)
    return stored


async def drop(context: Context, event_id: EventId, recurrence_id: str, *, caller: Caller) -> None:
    """Undo what was changed about one occurrence; of one that is past, forget it."""
    async with context.pool.connection() as conn, conn.transaction():
        event = await _to_change(conn, event_id, caller)
        now = context.clock.now()
        found = recurrence.find(planning.series_of_timing(event.content.timing), recurrence_id)
        key = recurrence_id if found is None or recurrence_id in event.overrides else found.recurrence_id
        before = event.overrides.get(key)
        if before is None:
            return
        await overrides.drop(conn, event_id, key)
        entry = Entry(action="override.dropped", sub=caller.sub, event_id=event_id, details={"recurrence_id": key})
        await audit.write(conn, entry)
        if found is None:
            return
        if found.original_at <= now:
            # To come only by having been moved, or on its way: without the override it would be lost, or another.
            if await planned_deliveries.is_live(conn, _id_of(event, found)):
                raise _due(found)
            return
        if time_of(found, before) <= now:
            raise _due(found)
        rest = {name: override for name, override in event.overrides.items() if name != key}
        next_at = await _replan(conn, msgspec.structs.replace(event, overrides=rest), found, before, now=now)
        if next_at is not None:
            await _revive(context, conn, event, caller)
    await _settle(context, event_id, next_at)


def read(
    context: Context, event: Event, recurrence_id: str, document: Mapping[str, Json], *, now: datetime
) -> tuple[Occurrence, StoredOverride]:
    """Return the occurrence that is meant and what is to be changed about it; Invalid with all that is wrong."""
    given = {name: value for name, value in document.items() if name not in ONLY_ANSWERED}
    found = Findings(bodies.OverrideChange, given)
    excluded: bool = found.value("excluded", default=False)
    metadata: dict[str, Json] | None = found.value("metadata", None)
    webhook_url: str | None = found.value("webhook_url", None)
    scheduled_at = _new_time(found, event, now=now)
    others = [name for name in _CHANGEABLE if given.get(name) is not None]
    if excluded and others:
        found.add(f"/{others[0]}", "An excluded occurrence has nothing else to change.", hint="Leave one of them out.")
    if not excluded and not others and not found.errors:
        hint = "Give `excluded`: true, or at least one of `scheduled_at`, `metadata` and `webhook_url`."
        found.add("", "Nothing is changed.", hint=hint, example={"excluded": True})
    if webhook_url is not None:
        found.errors.extend(checks.url(webhook_url, context.config.egress_allow))
    if metadata is not None:
        found.errors.extend(checks.metadata(metadata))
    try:
        occurrence = recurrence.resolve(planning.series_of_timing(event.content.timing), recurrence_id)
    except InvalidSchedule as error:
        raise Invalid([*found.errors, error.at("recurrence_id")]) from None
    found.raise_if_any()
    return occurrence, StoredOverride(
        recurrence_id=occurrence.recurrence_id,
        original_at=occurrence.original_at,
        excluded=excluded,
        scheduled_at=scheduled_at,
        metadata=metadata,
        webhook_url=webhook_url,
        created_at=now,
    )


def time_of(found: Occurrence, override: Override) -> datetime:
    """Return when an occurrence is due; an excluded one, when it would have been."""
    return found.original_at if override.excluded else override.scheduled_at or found.original_at


def _new_time(found: Findings, event: Event, *, now: datetime) -> datetime | None:
    text: str | None = found.value("scheduled_at", None)
    if text is None:
        return None
    try:
        moment = instants.parse(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=recurrence.zone_of(event.content.timing.timezone)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        found.add("/scheduled_at", str(error), hint=instants.HINT, example=instants.EXAMPLE)
        return None
    if moment <= now:
        found.add("/scheduled_at", "This time has passed.", hint="Give a time to come, or exclude the occurrence.")
    return moment


async def _to_change(conn: Connection, event_id: EventId, caller: Caller) -> Event:
    event = await events.get_to_change(conn, event_id, sight=caller.sight)
    if event.status == "deleted":
        raise NotFound(f"The event {event_id} is deleted.", code="event_not_found")
    return event


async def _replan(
    conn: Connection, event: Event, found: Occurrence, before: Override, *, now: datetime
) -> datetime | None:
    """Let the deliveries follow a change of one occurrence's time; return the first new one's.

    `event` has its overrides as they are to be.
    """
    id_ = _id_of(event, found)
    after = event.overrides.get(found.recurrence_id, _NOTHING)
    moves = before.excluded != after.excluded or time_of(found, before) != time_of(found, after)
    if moves:
        await planned_deliveries.take_back(conn, id_)
    if await planned_deliveries.is_under_way_or_over(conn, id_):
        raise _due(found)
    plan = planning.plan_of(event)
    if before.webhook_url != after.webhook_url:
        await planned_deliveries.redirect(conn, {id_: planning.planned(plan, found).destination})
    if moves:
        await planning.record_excluded(conn, plan, after=now)
    if not moves or event.status not in ("active", "completed"):
        return None
    next_at = await planning.plan_moved(conn, plan, after=time_of(found, after) - datetime.resolution)
    # What is left to the chain begins now: an occurrence whose own time has passed is none of its business any more.
    if found.original_at > now and await planned_deliveries.pull_back(conn, event.id, found.original_at):
        chained = await planning.plan_next(conn, [(plan, found.original_at - datetime.resolution)])
        next_at = min((at for at in (next_at, chained.get(event.id)) if at is not None), default=None)
    return next_at


async def _revive(context: Context, conn: Connection, event: Event, caller: Caller) -> None:
    """Let an event be active, whose occurrences to come are some more now."""
    await context.quotas.require_revival(conn, caller, event)
    await events.revive(conn, event.id)


async def _settle(context: Context, event_id: EventId, next_at: datetime | None) -> None:
    """Wake the schedulers for what is due soon; complete an event whose last occurrence was taken from it."""
    if next_at is None:
        async with context.pool.connection() as conn:
            await events.complete_finished(conn, [event_id])
    elif next_at <= context.clock.now() + HORIZON:
        context.nudger.soon()


def _override_of(stored: StoredOverride) -> Override:
    return Override(excluded=stored.excluded, scheduled_at=stored.scheduled_at, webhook_url=stored.webhook_url)


def _id_of(event: Event, found: Occurrence) -> OccurrenceId:
    return occurrence_id_of(event.id, found.recurrence_id, found.original_at)


def _due(found: Occurrence) -> Conflict:
    return Conflict(f"The occurrence {found.recurrence_id} is due already, or over.", code="occurrence_due")
