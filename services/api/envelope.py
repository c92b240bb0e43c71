"""Around every request, also those that the router refuses: request id, access log, metrics."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import MutableMapping
from typing import Any, cast

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from shared import metrics

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
        headers = dict(scope["headers"])
        request_id = _request_id(headers.get(b"x-request-id", b""))
        status = 500
        begun = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                start = message
                status = start["status"]
                start["headers"] = [*start["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        with bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                seconds = time.perf_counter() - begun
                details = cast("MutableMapping[str, Any]", scope)
                route = str(details.get("path_template") or "unknown")
                metrics.REQUESTS.labels(method=scope["method"], route=route, status=status).observe(seconds)
                log.info(
                    "request.answered",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    duration_ms=round(seconds * 1000, 1),
                )


def _request_id(given: bytes) -> str:
    """Return the client's own id when it is a sane one, else a new one."""
    return given.decode() if _SANE_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
