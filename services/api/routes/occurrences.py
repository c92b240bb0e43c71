"""Occurrences and the attempts that were made for them; one may be cancelled, and finished ones replayed."""

from __future__ import annotations

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from services.api import answers, bodies, cursors, instants, occurrence_changes
from services.api.answers import AttemptAnswer, OccurrenceAnswer, Page, ReplayAnswer
from services.api.context import AnyRequest, caller_of, context_of, document_of, id_of, query_of, reply
from services.api.parameters import names
from shared.domain.ids import EventId, OccurrenceId
from shared.store import attempts, occurrence_lists, occurrences
from shared.store.occurrence_lists import Filters


@get("/occurrences", needs="read", query=bodies.OccurrenceQuery, answer=Page[OccurrenceAnswer])
async def list_occurrences(request: AnyRequest) -> Response[bytes]:
    """List occurrences, newest first."""
    wanted = query_of(request, bodies.OccurrenceQuery)
    event_id = None if wanted.event_id is None else EventId(wanted.event_id)
    return await page_of_occurrences(request, wanted, Filters(event_id=event_id))


@get("/occurrences/{occurrence_id:str}", needs="read", answer=OccurrenceAnswer)
async def get_occurrence(request: AnyRequest, occurrence_id: FromPath[str]) -> Response[bytes]:
    """Read an occurrence."""
    async with context_of(request).pool.connection() as conn:
        found = await occurrences.get(conn, _id(occurrence_id), sight=caller_of(request).sight)
    return reply(answers.occurrence(found))


@get("/occurrences/{occurrence_id:str}/attempts", needs="read", query=bodies.PageQuery, answer=Page[AttemptAnswer])
async def list_attempts(request: AnyRequest, occurrence_id: FromPath[str]) -> Response[bytes]:
    """List every HTTP request that was made for an occurrence, newest first."""
    wanted = query_of(request, bodies.PageQuery)
    before = cursors.decode(wanted.cursor, cursors.TimeAndNumber)
    async with context_of(request).pool.connection() as conn:
        await occurrences.get(conn, _id(occurrence_id), sight=caller_of(request).sight)
        found = await attempts.of_occurrence(conn, _id(occurrence_id), before=before, limit=wanted.limit + 1)
    shown = found[: wanted.limit]
    more = len(found) > wanted.limit
    cursor = cursors.encode((shown[-1].started_at, shown[-1].epoch)) if more else None
    return reply(Page(data=[answers.attempt(each) for each in shown], next_cursor=cursor))


@post("/occurrences/{occurrence_id:str}/cancel", needs="write", answer=OccurrenceAnswer, status_code=200,
      codes=["event_not_found", "attempt_begun", "occurrence_finished"])  # fmt: skip
async def cancel_occurrence(request: AnyRequest, occurrence_id: FromPath[str]) -> Response[bytes]:
    """Cancel an occurrence that waits for its time or for a retry."""
    id_ = _id(occurrence_id)
    cancelled = await occurrence_changes.cancel(context_of(request), id_, caller=caller_of(request))
    return reply(answers.occurrence(cancelled))


@post("/occurrences/{occurrence_id:str}/replay", needs="write", answer=OccurrenceAnswer, status_code=202,
      codes=["event_not_found", "event_deleted", "event_disabled", "occurrence_unfinished",
             "quota_exceeded"])  # fmt: skip
async def replay_occurrence(request: AnyRequest, occurrence_id: FromPath[str]) -> Response[bytes]:
    """Deliver a finished occurrence again, under the same id."""
    id_ = _id(occurrence_id)
    replayed = await occurrence_changes.replay(context_of(request), id_, caller=caller_of(request))
    return reply(answers.occurrence(replayed), status=202)


@post("/occurrences/replay", needs="write", body=bodies.BulkReplay, answer=ReplayAnswer, status_code=202)
async def replay_occurrences(request: AnyRequest) -> Response[bytes]:
    """Deliver finished occurrences again, all that match and are in the token's scope."""
    document = await document_of(request)
    matched = await occurrence_changes.replay_all(context_of(request), document, caller=caller_of(request))
    return reply(ReplayAnswer(matched=matched), status=202)


async def page_of_occurrences(
    request: AnyRequest, wanted: bodies.OccurrencesQuery, filters: Filters
) -> Response[bytes]:
    """Return the page that a query asks for, within `filters`."""
    filters = msgspec.structs.replace(
        filters,
        tags=names(wanted.tags),
        any_tags=names(wanted.any_tags),
        status=wanted.status,
        scheduled_from=instants.parameter("from", wanted.from_),
        scheduled_to=instants.parameter("to", wanted.to),
    )
    before = cursors.decode(wanted.cursor, cursors.Id)
    async with context_of(request).pool.connection() as conn:
        found = await occurrence_lists.newest(
            conn, filters, sight=caller_of(request).sight, before=before, limit=wanted.limit + 1
        )
    shown = found[: wanted.limit]
    cursor = cursors.encode(shown[-1].id) if len(found) > wanted.limit else None
    return reply(Page(data=[answers.occurrence(each) for each in shown], next_cursor=cursor))


def _id(text: str) -> OccurrenceId:
    return OccurrenceId(id_of(text, "occurrence"))


ROUTES = [
    list_occurrences,
    get_occurrence,
    list_attempts,
    cancel_occurrence,
    replay_occurrence,
    replay_occurrences,
]
