"""Schedules, before they are an event's."""

from __future__ import annotations

from litestar import Response, post

from services.api import answers, bodies, timings
from services.api.answers import PreviewAnswer
from services.api.codes import SCHEDULE
from services.api.context import AnyRequest, context_of, document_of, reply
from services.api.findings import Findings


@post("/schedules/preview", needs="read", body=bodies.SchedulePreview, answer=PreviewAnswer, status_code=200,
      codes=SCHEDULE)  # fmt: skip
async def preview_schedule(request: AnyRequest) -> Response[bytes]:
    """Compute what a timing would come to, without storing anything."""
    context = context_of(request)
    found = Findings(bodies.SchedulePreview, await document_of(request))
    series = timings.series_of(found, now=context.clock.now(), min_interval=context.config.min_interval)
    start = found.instant("from")
    found.raise_if_any()
    if series is None:
        raise AssertionError("a timing that cannot be read leaves an error")
    return reply(answers.preview(series, start, limit=found.value("limit", 10)))


ROUTES = [preview_schedule]
