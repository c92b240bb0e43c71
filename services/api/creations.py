"""Make events of what clients sent: any number of them, all or none."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta

import msgspec

from services.api.batches import turns
from services.api.callers import Caller
from services.api.context import Context
from services.api.drafts import Draft
from shared import planning, tracing
from shared.domain.content import Timing
from shared.domain.events import Event
from shared.domain.ids import EventId, event_id_at
from shared.errors import AlreadyExists
from shared.store import creations
from shared.store.creations import Creation
from shared.store.pool import Connection
from shared.tracing import Kind, Span


class NewEvents(msgspec.Struct, frozen=True, kw_only=True):
    """Events that were stored."""

    events: list[Event]
    similar: dict[EventId, list[EventId]]
    """The events that do the same as each of them and were there before."""
    due_at: datetime | None
    """When the first of their deliveries is due."""


async def create(
    context: Context, conn: Connection, drafts: Sequence[Draft], *, caller: Caller, pointers: Sequence[str]
) -> NewEvents:
    """Store new events and plan their first deliveries. Each one's pointer is where it stands in the request.

    Forbidden or QuotaExceeded when the caller has used up a quota.
    AlreadyExists when an `external_id` is in use: the caller's transaction then ends without any of them.
    """
    now = context.clock.now()
    made: list[Creation] = []
    for number, draft in enumerate(drafts):
        await turns(number)
        # A microsecond apart, so that lists keep their order.
        made.append(_creation(context, draft, caller, now=now + number * timedelta.resolution))
    async with nullcontext() if caller.chain_id is None else conn.transaction():
        await context.quotas.require(conn, caller, len(drafts), now=now)
        created = await creations.insert(conn, made)
    if created.taken:
        places = [(creation.event.id, pointer) for creation, pointer in zip(made, pointers, strict=True)]
        raise AlreadyExists(
            {f"{place}/external_id": created.taken[id_] for id_, place in places if id_ in created.taken}
        )
    _trace(made, now)
    return NewEvents(
        events=[creation.event for creation in made],
        similar=created.similar,
        due_at=min((creation.first.scheduled_at for creation in made if creation.first is not None), default=None),
    )


def _trace(made: Sequence[Creation], now: datetime) -> None:
    """Begin the traces of single deliveries with the call that asks for them; those of a recurrence begin later."""
    request = tracing.CURRENT.get()
    if request is None:
        return
    for first in (creation.first for creation in made):
        if first is not None and not first.chained:
            tracing.tell(
                Span(
                    name="delivery.planned",
                    kind=Kind.INTERNAL,
                    place=tracing.place_of_plan(first.occurrence_id),
                    links=(request,),
                    begun_at=now,
                    ended_at=now,
                    attributes={"qhronos.event_id": str(first.event_id)},
                )
            )


def beginning(timing: Timing, now: datetime) -> datetime:
    """Return after what instant a new timing is planned: a single time that has just passed is delivered at once."""
    return now if timing.recurs else min(now, timing.start_at - datetime.resolution)


def _creation(context: Context, draft: Draft, caller: Caller, *, now: datetime) -> Creation:
    event = Event(
        id=event_id_at(now),
        version=1,
        status="active",
        status_reason=None,
        content=draft.content,
        has_hmac_secret=draft.hmac_secret is not None,
        created_by=caller.sub,
        created_at=now,
        updated_at=now,
    )
    return Creation(
        event=event,
        hmac_secret=None if draft.hmac_secret is None else context.seals.seal(draft.hmac_secret, event.id),
        first=planning.next_of(planning.plan_of(event), beginning(event.content.timing, now)),
        chain_id=caller.chain_id,
    )
