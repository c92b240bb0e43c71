"""Many clients of an API at once, each on a kept-alive connection of its own and with the next request at once.

A helper. Of the answers it reads only the status and where they end.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import cast

import msgspec
import uvloop

from tests.benchmarks.helpers import answer_questions

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request, and the status that its answer must have."""

    method: str
    target: str
    token: str
    status: int
    body: bytes = b""


class Calls(msgspec.Struct, frozen=True, kw_only=True):
    """A request to make again and again; the first `warming` seconds do not count."""

    host: str
    port: int
    request: Request
    connections: int
    seconds: float
    warming: float


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """How many answers came in how many seconds, and how many seconds each took."""

    seconds: float
    took: list[float]
    answers: int
    """All of them, also those that do not count."""
    wrong: str | None
    """An answer with another status."""

    @property
    def per_second(self) -> float:
        """How many came in a second."""
        return len(self.took) / self.seconds


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, request: bytes, status: int) -> None:
        self.took: list[float] = []
        self.wrong: str | None = None
        self._request = request
        self._expected = b"HTTP/1.1 %d " % status
        self._buffer = b""
        self._sent_at = 0.0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self.wrong = f"the connection was lost: {exc}"

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(_END_OF_HEAD)
        if head < 0:
            return
        length = _LENGTH.search(self._buffer, 0, head)
        if len(self._buffer) < head + len(_END_OF_HEAD) + (int(length[1]) if length else 0):
            return
        if not self._buffer.startswith(self._expected):
            self.wrong = self._buffer[:2000].decode(errors="replace")
            self.stop()
            return
        self.took.append(time.perf_counter() - self._sent_at)
        self._buffer = b""
        self._send()

    def stop(self) -> None:
        """Ask no more."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def _send(self) -> None:
        if self._transport is not None:
            self._sent_at = time.perf_counter()
            self._transport.write(self._request)


async def call(calls: Calls) -> Called:
    """Make the calls."""
    loop = asyncio.get_running_loop()
    request = _wire(calls)
    made = [
        await loop.create_connection(lambda: Client(request, calls.request.status), calls.host, calls.port)
        for _ in range(calls.connections)
    ]
    clients = [client for _, client in made]
    await asyncio.sleep(calls.warming)
    warm = sum(len(client.took) for client in clients)
    for client in clients:
        client.took.clear()
    begun = time.perf_counter()
    await asyncio.sleep(calls.seconds)
    seconds = time.perf_counter() - begun
    took = [each for client in clients for each in client.took]
    for client in clients:
        client.stop()
    wrong = next((client.wrong for client in clients if client.wrong), None)
    return Called(seconds=seconds, took=took, answers=warm + len(took), wrong=wrong)


def _wire(calls: Calls) -> bytes:
    request = calls.request
    head = [
        f"{request.method} {request.target} HTTP/1.1",
        f"host: {calls.host}:{calls.port}",
        f"authorization: Bearer {request.token}",
        "accept: */*",
        "user-agent: benchmark",
        *([f"content-type: application/json\r\ncontent-length: {len(request.body)}"] if request.body else []),
    ]
    return "\r\n".join([*head, "", ""]).encode() + request.body


if __name__ == "__main__":
    uvloop.run(answer_questions(Calls, call))
