"""Around every request, also those that the router refuses: request id, time limit, access log, metrics."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Generator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, cast

import structlog
from litestar.types import ASGIApp, HTTPReceiveMessage, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from services.api import heads, problems
from shared import metrics, tracing
from shared.errors import Malformed, TooSlow
from shared.tracing import Kind, Span

LONGEST_REQUEST = timedelta(seconds=20)
"""A server that is frozen rather than gone answers no query and refuses none."""
LONGEST_BODY = timedelta(seconds=15)
"""Of these, for the body to come: until it is there, no connection to PostgreSQL is taken."""

_LONGEST_SHOWN = 500
_SANE_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")

log = structlog.get_logger()


class Envelope:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # a GET to all that is in here; the server sends no body
            scope = {**scope, "method": "GET"}
        headers = dict(scope["headers"])
        answer = _Answer(send, _request_id(headers.get(b"x-request-id", b"")), _more_headers(scope))
        begun = time.perf_counter()
        with bound_contextvars(request_id=answer.request_id), _traced(scope, headers, answer):
            try:
                problem = heads.problem_of(scope)
                if problem is None:
                    await self._serve_in_time(scope, _Body(receive), answer)
                else:
                    await problems.send(problems.malformed(problem, answer.request_id), answer)
            finally:
                _tell(scope, answer.status, seconds=time.perf_counter() - begun)

    async def _serve_in_time(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        """Serve the request, or answer that it took too long without waiting for its end."""
        work = asyncio.ensure_future(self._app(scope, receive, answer))
        done, _ = await asyncio.wait({work}, timeout=LONGEST_REQUEST.total_seconds())
        if done:
            work.result()
            return
        work.cancel()
        if not answer.started:
            detail = f"No answer within {LONGEST_REQUEST.total_seconds():g} seconds."
            await problems.send(problems.unavailable(detail, answer.request_id), answer)


class _Body:
    """Receives a body, as long as it comes in time."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._until = asyncio.get_running_loop().time() + LONGEST_BODY.total_seconds()

    async def __call__(self) -> HTTPReceiveMessage:
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow(f"The body did not come within {LONGEST_BODY.total_seconds():g} seconds.") from None
        if message["type"] == "http.disconnect":
            raise Malformed("The client went away before the end of its body.")
        return cast("HTTPReceiveMessage", message)


class _Answer:
    """Sends a response on, under the request's id and with what else belongs to every answer by then."""

    def __init__(self, send: Send, request_id: str, more: list[tuple[bytes, bytes]]) -> None:
        self.request_id = request_id
        self.status = 500
        self.started = False
        self._send = send
        self._more = more

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            message["headers"] = [*message["headers"], (b"x-request-id", self.request_id.encode()), *self._more]
        await self._send(message)


def _more_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the list to which headers of the answer may be added, whoever will send it."""
    return cast("MutableMapping[str, Any]", scope).setdefault("state", {}).setdefault("answer_headers", [])


@contextmanager
def _traced(scope: Scope, headers: Mapping[bytes, bytes], answer: _Answer) -> Generator[None]:
    """Let the request be a span, of the caller's trace where it names one."""
    if not tracing.is_on():
        yield
        return
    parent = tracing.read_traceparent(headers.get(b"traceparent", b"").decode("latin-1"))
    place, begun_at = tracing.place_of_request(parent), datetime.now(UTC)
    before = tracing.CURRENT.set(place)
    try:
        yield
    finally:
        tracing.CURRENT.reset(before)
        details = cast("MutableMapping[str, Any]", scope)
        method, route = str(details["method"]), str(details.get("path_template") or "unknown")
        tracing.tell(
            Span(
                name=f"{method} {route}",
                kind=Kind.SERVER,
                place=place,
                parent=parent,
                begun_at=begun_at,
                ended_at=datetime.now(UTC),
                attributes={
                    "http.request.method": method,
                    "http.route": route,
                    "http.response.status_code": answer.status,
                    "qhronos.request_id": answer.request_id,
                },
                error=f"answered {answer.status}" if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR else None,
            )
        )


def _tell(scope: Scope, status: int, *, seconds: float) -> None:
    details = cast("MutableMapping[str, Any]", scope)
    method, path = str(details["method"]), str(details["path"])
    route = str(details.get("path_template") or "unknown")
    metrics.REQUESTS.labels(method=method, route=route, status=status).observe(seconds)
    log.info(
        "request.answered",
        method=method,
        path=path[:_LONGEST_SHOWN],
        status=status,
        duration_ms=round(seconds * 1000, 1),
    )


def _request_id(given: bytes) -> str:
    """Return the client's own id when it is a sane one, else a new one."""
    return given.decode() if _SANE_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
