"""Put the API together."""

from __future__ import annotations

from litestar import Litestar
from litestar.datastructures import State
from litestar.types import ASGIApp

from services.api import openapi, problems
from services.api.context import Context, admit
from services.api.envelope import Envelope
from services.api.gate import Gate
from services.api.routes import events, occurrences, overrides, schedules, service, tokens, versions

LARGEST_BODY = 1024 * 1024
ROUTES = [
    *tokens.ROUTES,
    *events.ROUTES,
    *overrides.ROUTES,
    *versions.ROUTES,
    *occurrences.ROUTES,
    *schedules.ROUTES,
    *service.ROUTES,
]


def build(context: Context) -> ASGIApp:
    """Return the application."""
    app = Litestar(
        route_handlers=ROUTES,
        before_request=admit,  # a guard would be given a copy of its handler with each request
        exception_handlers={Exception: problems.handle},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=LARGEST_BODY,
        state=State({"context": context, "openapi": openapi.document(ROUTES)}),
    )
    return Envelope(Gate(app, context, ROUTES))
