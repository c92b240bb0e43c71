"""What the API does to occurrences that are there: end one before it is made, and make finished ones again."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from services.api import bodies
from services.api.callers import Caller
from services.api.context import Context
from services.api.findings import Findings
from shared import planning
from shared.domain.content import Json
from shared.domain.deliveries import Occurrence
from shared.domain.ids import OccurrenceId
from shared.errors import Conflict, Invalid
from shared.store import audit, cancellations, events, occurrences, planned_deliveries, replays
from shared.store.audit import Action, Entry
from shared.store.deliveries import HORIZON
from shared.store.pool import Connection
from shared.store.sight import EVERYTHING, Sight


async def cancel(context: Context, occurrence_id: OccurrenceId, *, caller: Caller) -> Occurrence:
    """End an occurrence whose attempt has not begun; where it led its event's chain, the next one does now.

    The event's row is locked first, then the delivery's: a scheduler that is just claiming leaves the event to us, and
    one that was faster has planned on already.
    """
    async with context.pool.connection() as conn:
        found = await occurrences.get(conn, occurrence_id, sight=caller.sight)
        next_at = None
        async with conn.transaction():
            event = await events.get_to_change(conn, found.event_id, sight=caller.sight)
            ended = await cancellations.cancel(conn, occurrence_id, reason="requested")
            if ended is None:
                raise await _not_to_be_cancelled(conn, occurrence_id)
            if ended.led_chain:
                planned = await planning.plan_next(conn, [(planning.plan_of(event), ended.scheduled_at)])
                next_at = planned.get(event.id)
            await _write_down(conn, "occurrence.cancelled", found, caller)
            cancelled = await occurrences.get(conn, occurrence_id, sight=EVERYTHING)
        if next_at is None:
            await events.complete_finished(conn, [event.id])
        elif next_at <= context.clock.now() + HORIZON:
            context.nudger.soon()
    return cancelled


async def replay(context: Context, occurrence_id: OccurrenceId, *, caller: Caller) -> Occurrence:
    """Deliver a finished occurrence again: now, or at its time where that is still to come."""
    async with context.pool.connection() as conn, conn.transaction():
        found = await occurrences.get(conn, occurrence_id, sight=caller.sight)
        event = await events.get_to_change(conn, found.event_id, sight=caller.sight)
        if event.status in ("deleted", "disabled"):
            raise Conflict(f"The event {event.id} is {event.status}.", code=f"event_{event.status}")
        if not await replays.start(conn, [occurrence_id]):
            raise Conflict(f"The occurrence {occurrence_id} is not finished.", code="occurrence_unfinished")
        if found.scheduled_at > context.clock.now():
            if event.status == "completed":
                await context.quotas.require_revival(conn, caller, event)
            await events.revive(conn, event.id)
        await _write_down(conn, "occurrence.replayed", found, caller)
        replayed = await occurrences.get(conn, occurrence_id, sight=EVERYTHING)
    context.nudger.soon()
    return replayed


async def replay_all(context: Context, document: Mapping[str, Json], *, caller: Caller) -> int:
    """Let a scheduler replay all that match, unless it is only to be counted; return how many match now."""
    dry_run, filters = read(document, sight=caller.sight)
    async with context.pool.connection() as conn, conn.transaction():
        matched = await replays.count(conn, filters)
        if not dry_run:
            await replays.insert(conn, filters, by=caller.sub, matched=matched)
            details = {name: value for name, value in msgspec.structs.asdict(filters).items() if name != "sight"}
            details["matched"] = matched
            await audit.write(conn, Entry(action="occurrences.replayed", sub=caller.sub, details=details))
    return matched


def read(document: Mapping[str, Json], *, sight: Sight) -> tuple[bool, replays.Filters]:
    """Return whether it is a dry run, and what is to be replayed; Invalid with all that is wrong."""
    found = Findings(bodies.BulkReplay, document)
    since, until = found.instant("from"), found.instant("to")
    if since is not None and until is not None and until < since:
        found.add("/to", "This is before `from`.", hint="Give the end of the time span, inclusive.")
    if since is None or until is None or found.errors:
        raise Invalid(found.errors)
    filters = replays.Filters(
        status=found.value("status", None),
        scheduled_from=since,
        scheduled_to=until,
        event_id=found.value("event_id", None),
        tags=found.value("tags", None),
        sight=sight,
    )
    return found.value("dry_run", default=False), filters


async def _write_down(conn: Connection, action: Action, occurrence: Occurrence, caller: Caller) -> None:
    entry = Entry(action=action, sub=caller.sub, event_id=occurrence.event_id, occurrence_id=occurrence.id)
    await audit.write(conn, entry)


async def _not_to_be_cancelled(conn: Connection, occurrence_id: OccurrenceId) -> Conflict:
    if await planned_deliveries.is_live(conn, occurrence_id):
        return Conflict(f"An attempt for the occurrence {occurrence_id} has begun.", code="attempt_begun")
    return Conflict(f"The occurrence {occurrence_id} is finished.", code="occurrence_finished")
