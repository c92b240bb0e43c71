"""HTTP connections that take no more memory and no more time than a request needs, whatever comes over them.

Uvicorn bounds neither: it waits for ever for the end of a head or for its answer to be read, and keeps a head of any
size. Who is too slow loses the connection; who sends too much before anything can be read of it, and who speaks no
HTTP, gets a problem document first.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import msgspec
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.api import heads, problems

FIRST_HEAD = timedelta(seconds=10)
"""From the connection to the end of the first request's headers."""
STEP = timedelta(seconds=60)
"""For each thing after that: a request and its answer, then reading that answer and sending the next head."""


log = structlog.get_logger()


class Connection(HttpToolsProtocol):
    """One connection; the server makes it."""

    _deadline: asyncio.TimerHandle
    _steps = 0
    """Heads, pieces of bodies and ends of requests that were read."""
    _pending = 0
    """Bytes that came since the last of these."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Wait for the first head, but not long."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(FIRST_HEAD.total_seconds(), self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless what came so far is too much for a head, or for what stands between pieces of a body."""
        steps = self._steps
        super().data_received(data)
        self._pending = self._pending + len(data) if self._steps == steps else 0
        if self._pending > heads.LARGEST and not self.transport.is_closing():
            self.send_400_response(f"More than {heads.LARGEST} bytes came before the end of the headers.")

    def on_headers_complete(self) -> None:
        """Begin a request; headers behind its body are none of its own."""
        super().on_headers_complete()
        self.headers = []
        self._go_on()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        super().on_body(body)
        self._steps += 1

    def on_message_complete(self) -> None:
        """End a request."""
        super().on_message_complete()
        self._steps += 1

    def on_response_complete(self) -> None:
        """Wait for the answer to be read and for another request."""
        super().on_response_complete()
        self._go_on()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not even a request, and hang up."""
        request_id = uuid.uuid4().hex
        body = msgspec.json.encode(problems.malformed(msg, request_id).content)
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            "content-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\n"
            f"x-request-id: {request_id}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
        log.info("request.unreadable", request_id=request_id, problem=msg)

    def _go_on(self) -> None:
        self._steps += 1
        self._deadline.cancel()
        self._deadline = self.loop.call_later(STEP.total_seconds(), self._give_up)

    def _give_up(self) -> None:
        log.info("connection.cut_off", unread=self.transport.get_write_buffer_size())
        self.transport.abort()
