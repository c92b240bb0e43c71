"""Versions: see what an event was, and let it be that again."""

from __future__ import annotations

import re

from litestar import Response, get, post
from litestar.params import FromPath

from services.api import answers, bodies, changes, cursors, restoring
from services.api.answers import EventAnswer, EventVersionAnswer, Page, VersionAnswer
from services.api.codes import CONTENT
from services.api.context import AnyRequest, caller_of, context_of, id_of, query_of, reply
from shared.domain.ids import EventId
from shared.errors import NotFound
from shared.store import events, versions

_NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


@get("/events/{event_id:str}/versions", needs="read", query=bodies.PageQuery, answer=Page[VersionAnswer])
async def list_versions(request: AnyRequest, event_id: FromPath[str]) -> Response[bytes]:
    """List the versions of an event, a deleted one's too, newest first."""
    id_, wanted = EventId(id_of(event_id, "event")), query_of(request, bodies.PageQuery)
    (before,) = cursors.decode(wanted.cursor, cursors.Number) or (None,)
    async with context_of(request).pool.connection() as conn:
        await events.get(conn, id_, sight=caller_of(request).sight)
        found = await versions.newest(conn, id_, before=before, limit=wanted.limit + 1)
    shown = found[: wanted.limit]
    cursor = cursors.encode((shown[-1].version,)) if len(found) > wanted.limit else None
    return reply(Page(data=[answers.version(each) for each in shown], next_cursor=cursor))


@get("/events/{event_id:str}/versions/{version:str}", needs="read", answer=EventVersionAnswer)
async def get_version(request: AnyRequest, event_id: FromPath[str], version: FromPath[str]) -> Response[bytes]:
    """Read an event as it was."""
    id_, number = EventId(id_of(event_id, "event")), _number(version)
    async with context_of(request).pool.connection() as conn:
        event = await events.get(conn, id_, sight=caller_of(request).sight)
        found, content = await versions.get(conn, id_, number)
    return reply(answers.event_version(event, found, content))


@post("/events/{event_id:str}/versions/{version:str}/restore", needs="write", answer=EventAnswer, status_code=200,
      codes=[*CONTENT, "validation_failed"],
      conditional=True, versioned=True)  # fmt: skip
async def restore_version(request: AnyRequest, event_id: FromPath[str], version: FromPath[str]) -> Response[bytes]:
    """Let an event be what it was; a deleted one lives again. What has passed meanwhile is not made up for."""
    context, caller = context_of(request), caller_of(request)
    id_, number, if_match = EventId(id_of(event_id, "event")), _number(version), request.headers.get("if-match")
    event = await restoring.restore(context, id_, number, caller=caller, if_match=if_match)
    return reply(answers.event(event, now=context.clock.now()), headers={"etag": changes.etag(event)})


def _number(text: str) -> int:
    """Read a version from the path; NotFound when it is none."""
    if not _NUMBER.fullmatch(text):
        raise NotFound(f"There is no version {text[:64]}.", code="version_not_found")
    return int(text)


ROUTES = [list_versions, get_version, restore_version]
