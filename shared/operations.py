"""The operations port of a process: `/metrics`, `/health` and `/ready`, served from a thread of its own."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry

from shared import metrics
from shared.readiness import Readiness

_PATIENCE = 5.0
_LOOK_EVERY = 0.1
"""Seconds between two looks whether to stop."""

log = structlog.get_logger()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - named by the library
        """Say nothing of a probe that hangs up early; the library would print a traceback."""
        if not isinstance(sys.exception(), OSError):
            log.exception("operations.crashed")


@asynccontextmanager
async def serve(
    host: str, port: int, service: CollectorRegistry, ready: Callable[[], Awaitable[Readiness]]
) -> AsyncGenerator[None]:
    """Answer on `host` and `port` until the block ends; `ready` runs on the caller's loop."""
    loop = asyncio.get_running_loop()

    async def ask() -> Readiness:
        return await ready()

    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE

        def do_GET(self) -> None:
            match self.path:
                case "/metrics":
                    self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, metrics.text(service))
                case "/health":
                    self._answer(HTTPStatus.OK, "application/json", b'{"status":"ok"}')
                case "/ready":
                    self._answer(*self._readiness())
                case _:
                    self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/metrics, /health or /ready\n")

        def _readiness(self) -> tuple[HTTPStatus, str, bytes]:
            try:
                state = asyncio.run_coroutine_threadsafe(ask(), loop).result(_PATIENCE)
            except TimeoutError:
                return HTTPStatus.SERVICE_UNAVAILABLE, "application/json", b'{"status":"not_ready"}'
            status = HTTPStatus.OK if state.status == "ready" else HTTPStatus.SERVICE_UNAVAILABLE
            return status, "application/json", msgspec.json.encode(state)

        def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the standard library
            """Say nothing: probes come every few seconds."""

    server = _Server((host, port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=[_LOOK_EVERY], name="operations", daemon=True)
    thread.start()
    try:
        yield
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
