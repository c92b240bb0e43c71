"""Overrides: change, list and restore single occurrences of an event."""

from __future__ import annotations

from litestar import Response, delete, get, put
from litestar.params import FromPath

from services.api import answers, bodies, cursors, override_changes
from services.api.answers import OverrideAnswer, Page
from services.api.context import AnyRequest, caller_of, context_of, document_of, id_of, query_of, reply
from shared.domain.ids import EventId
from shared.errors import NotFound
from shared.store import events, overrides


@put("/events/{event_id:str}/overrides/{recurrence_id:str}", needs="write", body=bodies.OverrideChange,
     answer=OverrideAnswer, codes=["occurrence_due", "too_many_overrides", "quota_exceeded"])  # fmt: skip
async def override_occurrence(
    request: AnyRequest, event_id: FromPath[str], recurrence_id: FromPath[str]
) -> Response[bytes]:
    """Change one occurrence that is still to come: leave it out, move it, or change what is sent."""
    id_, document = EventId(id_of(event_id, "event")), await document_of(request)
    stored = await override_changes.put(context_of(request), id_, recurrence_id, document, caller=caller_of(request))
    return reply(answers.override(stored))


@get("/events/{event_id:str}/overrides", needs="read", query=bodies.PageQuery, answer=Page[OverrideAnswer])
async def list_overrides(request: AnyRequest, event_id: FromPath[str]) -> Response[bytes]:
    """List what is changed about single occurrences, newest first."""
    wanted = query_of(request, bodies.PageQuery)
    before = cursors.decode(wanted.cursor, cursors.TimeAndText)
    id_ = EventId(id_of(event_id, "event"))
    async with context_of(request).pool.connection() as conn:
        event = await events.get(conn, id_, sight=caller_of(request).sight)
        if event.status == "deleted":
            raise NotFound(f"The event {event_id} is deleted.", code="event_not_found")
        found = await overrides.of_event(conn, id_, before=before, limit=wanted.limit + 1)
    shown = found[: wanted.limit]
    more = len(found) > wanted.limit
    cursor = cursors.encode((shown[-1].created_at, shown[-1].recurrence_id)) if more else None
    return reply(Page(data=[answers.override(each) for each in shown], next_cursor=cursor))


@delete(
    "/events/{event_id:str}/overrides/{recurrence_id:str}",
    needs="write",
    status_code=204,
    codes=["occurrence_due", "quota_exceeded"],
)
async def drop_override(request: AnyRequest, event_id: FromPath[str], recurrence_id: FromPath[str]) -> None:
    """Undo what is changed about one occurrence."""
    id_ = EventId(id_of(event_id, "event"))
    await override_changes.drop(context_of(request), id_, recurrence_id, caller=caller_of(request))


ROUTES = [override_occurrence, list_overrides, drop_override]
