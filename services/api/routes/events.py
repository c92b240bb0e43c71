"""Events: create, read, change, delete, run now, and see what they will come to."""

from __future__ import annotations

from datetime import timedelta

from litestar import Response, delete, get, patch, post, put
from litestar.params import FromPath
from msgspec import UNSET

from services.api import (
    answers,
    batches,
    bodies,
    changes,
    checks,
    creations,
    cursors,
    decoding,
    drafts,
    idempotency,
    instants,
    pauses,
    rotation,
)
from services.api.answers import EventAnswer, EventsAnswer, OccurrenceAnswer, Page, SecretAnswer, UpcomingOccurrence
from services.api.codes import CONTENT
from services.api.context import (
    AnyRequest,
    caller_of,
    chained_caller_of,
    context_of,
    document_of,
    id_of,
    query_of,
    reply,
)
from services.api.findings import Findings
from services.api.idempotency import Done, Write
from services.api.parameters import names
from services.api.routes.occurrences import page_of_occurrences
from shared import planning
from shared.domain import durations
from shared.domain.events import Event
from shared.domain.ids import EventId
from shared.errors import NotFound
from shared.store import events
from shared.store.occurrence_lists import Filters
from shared.store.pool import Connection


@post("/events", needs="write", body=bodies.NewEvent, answer=EventAnswer,
      codes=CONTENT,
      idempotent=True, chained=True, versioned=True, location=True)  # fmt: skip
async def create_event(request: AnyRequest) -> Response[bytes]:
    """Create an event."""
    context, caller = context_of(request), chained_caller_of(request)
    document = await document_of(request)

    async def prepare() -> Write:
        draft = drafts.read(document, now=context.clock.now(), config=context.config)
        caller.require_in_scope(draft.content.tags)

        async def write(conn: Connection) -> Done:
            created = await creations.create(context, conn, [draft], caller=caller, pointers=[""])
            [stored] = created.events
            answer = answers.event(stored, now=context.clock.now(), similar=created.similar[stored.id])
            headers = {"location": f"/events/{stored.id}", "etag": changes.etag(stored)}
            return Done(reply(answer, status=201, headers=headers), created.due_at)

        return write

    return await idempotency.once(request, document, prepare)


@post("/events/batch", needs="write", body=bodies.NewEvents, answer=EventsAnswer, idempotent=True, chained=True,
      codes=CONTENT)  # fmt: skip
async def create_events(request: AnyRequest) -> Response[bytes]:
    """Create up to 1000 events, all or none."""
    context, caller = context_of(request), chained_caller_of(request)
    document = await document_of(request)

    async def prepare() -> Write:
        given = await batches.read(batches.events_of(document), now=context.clock.now(), config=context.config)
        batches.require_in_scope(given, caller)

        async def write(conn: Connection) -> Done:
            pointers = [f"/events/{number}" for number in range(len(given))]
            async with conn.transaction():
                created = await creations.create(context, conn, given, caller=caller, pointers=pointers)
            shown: list[EventAnswer] = []
            for number, stored in enumerate(created.events):
                await batches.turns(number)
                shown.append(answers.event(stored, now=context.clock.now(), similar=created.similar[stored.id]))
            return Done(reply(EventsAnswer(data=shown), status=201), created.due_at)

        return write

    return await idempotency.once(request, document, prepare)


@get("/events", needs="read", query=bodies.EventQuery, answer=Page[EventAnswer])
async def list_events(request: AnyRequest) -> Response[bytes]:
    """List events, newest first."""
    context, caller = context_of(request), caller_of(request)
    wanted = query_of(request, bodies.EventQuery)
    filters = events.Filters(
        tags=names(wanted.tags),
        any_tags=names(wanted.any_tags),
        status=wanted.status,
        name=wanted.name,
        created_after=instants.parameter("created_after", wanted.created_after),
        created_before=instants.parameter("created_before", wanted.created_before),
    )
    before = cursors.decode(wanted.cursor, cursors.TimeAndId)
    async with context.pool.connection() as conn:
        found = await events.newest(conn, filters, sight=caller.sight, before=before, limit=wanted.limit + 1)
    shown = found[: wanted.limit]
    more = len(found) > wanted.limit
    now = context.clock.now()
    cursor = cursors.encode((shown[-1].created_at, shown[-1].id)) if more else None
    data = await context.turns.listed((answers.event(event, now=now) for event in shown), sub=caller.sub)
    return reply(Page(data=data, next_cursor=cursor))


@get("/events/{event_id:str}", needs="read", answer=EventAnswer, versioned=True)
async def get_event(request: AnyRequest, event_id: FromPath[str]) -> Response[bytes]:
    """Read an event."""
    return _answer(request, await _visible(request, event_id))


@put("/events/{event_id:str}", needs="write", body=bodies.EventChange, answer=EventAnswer,
     codes=CONTENT, conditional=True, versioned=True)  # fmt: skip
async def replace_event(request: AnyRequest, event_id: FromPath[str]) -> Response[bytes]:
    """Change an event: fields that are left out keep their values."""
    return await _change(request, event_id)


@patch("/events/{event_id:str}", needs="write", body=bodies.EventChange, answer=EventAnswer,
       codes=CONTENT, conditional=True, versioned=True)  # fmt: skip
async def change_event(request: AnyRequest, event_id: FromPath[str]) -> Response[bytes]:
    """Change an event: fields that are left out keep their values."""
    return await _change(request, event_id)


@delete("/events/{event_id:str}", needs="write", status_code=204)
async def delete_event(request: AnyRequest, event_id: FromPath[str]) -> None:
    """Delete an event. Its waiting deliveries stop."""
    context, caller = context_of(request), caller_of(request)
    await changes.delete(context, EventId(id_of(event_id, "event")), caller=caller)


@post("/events/{event_id:str}/trigger", needs="write", body=bodies.Trigger, answer=OccurrenceAnswer, status_code=202,
      codes=["event_disabled"], idempotent=True)  # fmt: skip
async def trigger_event(request: AnyRequest, event_id: FromPath[str]) -> Response[bytes]:
    """Run an event now, once, beside its schedule."""
    context, caller = context_of(request), caller_of(request)
    document, id_ = await document_of(request), EventId(id_of(event_id, "event"))

    async def prepare() -> Write:
        trigger = drafts.read_trigger(document)

        async def write(conn: Connection) -> Done:
            occurrence = await changes.trigger(context, conn, id_, trigger, caller=caller)
            return Done(reply(answers.occurrence(occurrence), status=202), occurrence.scheduled_at)

        return write

    return await idempotency.once(request, document, prepare)


@post("/events/{event_id:str}/pause", needs="write", body=bodies.Pause, answer=EventAnswer, status_code=200,
      codes=["event_not_active"], versioned=True)  # fmt: skip
async def pause_event(request: AnyRequest, event_id: FromPath[str]) -> Response[bytes]:
    """Stop an event until it is resumed, or until an instant."""
    context, caller = context_of(request), caller_of(request)
    found = Findings(bodies.Pause, await document_of(request))
    until = found.instant("until")
    if until is not None and until <= context.clock.now():
        found.add("/until", "This time has passed.", hint="Leave it out to pause until somebody resumes.")
    found.raise_if_any()
    id_ = EventId(id_of(event_id, "event"))
    return _answer(
        request, await pauses.pause(context, id_, note=found.value("note", None), until=until, caller=caller)
    )


@post("/events/{event_id:str}/resume", needs="write", body=bodies.Resume, answer=EventAnswer, status_code=200,
      codes=["event_completed", "quota_exceeded"], versioned=True)  # fmt: skip
async def resume_event(request: AnyRequest, event_id: FromPath[str]) -> Response[bytes]:
    """Let a paused or disabled event go on."""
    context, caller = context_of(request), caller_of(request)
    wish = decoding.into(bodies.Resume, await document_of(request)).from_
    return _answer(request, await pauses.resume(context, EventId(id_of(event_id, "event")), wish, caller=caller))


@post("/events/{event_id:str}/secret/rotate", needs="write", body=bodies.SecretRotation, answer=SecretAnswer,
      status_code=200)  # fmt: skip
async def rotate_secret(request: AnyRequest, event_id: FromPath[str]) -> Response[bytes]:
    """Replace an event's secret; for a while the present one signs beside it."""
    context, caller = context_of(request), caller_of(request)
    found = Findings(bodies.SecretRotation, await document_of(request))
    grace: str = found.value("grace", bodies.DEFAULT_GRACE)
    found.errors.extend(checks.duration("/grace", grace, at_least=timedelta(0), at_most=rotation.LONGEST_GRACE))
    found.raise_if_any()
    given: str | None = found.value("hmac_secret", None)
    secret = given or rotation.new_secret()
    id_ = EventId(id_of(event_id, "event"))
    until = await rotation.rotate(context, id_, secret, grace=durations.parse(grace), caller=caller)
    return reply(answers.SecretAnswer(hmac_secret=UNSET if given else secret, previous_valid_until=until))


@get("/events/{event_id:str}/upcoming", needs="read", query=bodies.UpcomingQuery, answer=Page[UpcomingOccurrence])
async def list_upcoming(request: AnyRequest, event_id: FromPath[str]) -> Response[bytes]:
    """Compute what an event's timing will come to."""
    wanted = query_of(request, bodies.UpcomingQuery)
    event = await _visible(request, event_id)
    start = instants.parameter("from", wanted.from_) or context_of(request).clock.now()
    series = planning.series_of(planning.plan_of(event))
    coming = answers.upcoming(series, event.id, start, limit=wanted.limit)
    return reply({"data": coming, "next_cursor": None})


@get("/events/{event_id:str}/occurrences", needs="read", query=bodies.OccurrencesQuery, answer=Page[OccurrenceAnswer])
async def list_occurrences_of_event(request: AnyRequest, event_id: FromPath[str]) -> Response[bytes]:
    """List the occurrences of an event that are there, newest first."""
    event = await _visible(request, event_id)
    wanted = query_of(request, bodies.OccurrencesQuery)
    return await page_of_occurrences(request, wanted, Filters(event_id=event.id))


async def _change(request: AnyRequest, event_id: str) -> Response[bytes]:
    context, caller = context_of(request), caller_of(request)
    stored = await changes.update(
        context,
        EventId(id_of(event_id, "event")),
        await document_of(request),
        caller=caller,
        if_match=request.headers.get("if-match"),
    )
    return _answer(request, stored)


async def _visible(request: AnyRequest, event_id: str) -> Event:
    context = context_of(request)
    async with context.pool.connection() as conn:
        event = await events.get(conn, EventId(id_of(event_id, "event")), sight=caller_of(request).sight)
    if event.status == "deleted":
        raise NotFound(f"The event {event_id} is deleted.", code="event_not_found")
    return event


def _answer(request: AnyRequest, event: Event) -> Response[bytes]:
    answer = answers.event(event, now=context_of(request).clock.now())
    return reply(answer, headers={"etag": changes.etag(event)})


ROUTES = [
    create_event,
    create_events,
    list_events,
    get_event,
    replace_event,
    change_event,
    delete_event,
    trigger_event,
    pause_event,
    resume_event,
    rotate_secret,
    list_upcoming,
    list_occurrences_of_event,
]
