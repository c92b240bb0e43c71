"""A receiver that costs little: it reads of HTTP only where a request ends, answers with a status and notes the time.

A helper. It listens on one port of as many loopback addresses as it is told to.
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import time
from array import array
from datetime import datetime
from http import HTTPStatus
from typing import Literal, cast

import msgspec
import uvloop

from tests.benchmarks.helpers import answer_questions, say

NO_CONTENT = 204
BACKLOG = 4096
"""Connections not yet accepted; one that finds no place tries again after a whole second."""

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_DUE = b'"scheduled_at":"'
_ID = re.compile(rb'"occurrence_id":"([^"]+)"')


class Listening(msgspec.Struct, frozen=True):
    """Where it listens: each address with the same port."""

    addresses: list[str]
    port: int

    @property
    def urls(self) -> list[str]:
        """One for each destination."""
        return [f"http://{address}:{self.port}/hook" for address in self.addresses]


class Ask(msgspec.Struct, frozen=True):
    """`count`: how many requests there were since the last `take`; `take`: all about them, and begin anew."""

    what: Literal["count", "take"]


class Received(msgspec.Struct, frozen=True):
    """Of each request in the order of arrival: when it came and when it was due, in Unix seconds.

    `distinct` is the number of different occurrences among them.
    """

    arrived_at: list[float]
    due_at: list[float]
    distinct: int

    @property
    def seconds(self) -> float:
        """The time from the first request to the last."""
        return self.arrived_at[-1] - self.arrived_at[0]

    @property
    def per_second(self) -> float:
        """How many came in a second, from the first to the last."""
        return (len(self.arrived_at) - 1) / self.seconds

    @property
    def late(self) -> list[float]:
        """How many seconds after its due time each came; negative for one that came early."""
        return [arrived_at - due_at for arrived_at, due_at in zip(self.arrived_at, self.due_at, strict=True)]


class Notes:
    """What has arrived since it was last taken."""

    def __init__(self) -> None:
        self.arrived_at = array("d")
        self.bodies: list[bytes] = []

    def take(self) -> Received:
        """Return all and forget it."""
        found = Received(
            self.arrived_at.tolist(),
            [_due_at(body) for body in self.bodies],
            len({match[1] for body in self.bodies if (match := _ID.search(body))}),
        )
        self.arrived_at = array("d")
        self.bodies = []
        return found


class Connection(asyncio.Protocol):
    """One kept-alive connection; each request gets `answer` `delay` seconds after it came."""

    def __init__(self, notes: Notes, delay: float, answer: bytes) -> None:
        self._notes = notes
        self._delay = delay
        self._answer_bytes = answer
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - named by asyncio
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (head := self._buffer.find(_END_OF_HEAD)) >= 0:
            begin = head + len(_END_OF_HEAD)
            length = _LENGTH.search(self._buffer, 0, begin)
            end = begin + (int(length[1]) if length else 0)
            if len(self._buffer) < end:
                return
            self._notes.arrived_at.append(time.time())
            self._notes.bodies.append(self._buffer[begin:end])
            self._buffer = self._buffer[end:]
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        if self._transport is not None:
            self._transport.write(self._answer_bytes)


async def main(destinations: int, delay: float, status: int) -> None:
    """Listen until standard input ends."""
    loop = asyncio.get_running_loop()
    notes = Notes()
    answer = answer_of(status)
    addresses = [f"127.0.0.{number}" for number in range(1, destinations + 1)]
    port = 0
    for address in addresses:
        listener = socket.create_server((address, port))
        port = int(listener.getsockname()[1])
        await loop.create_server(lambda: Connection(notes, delay, answer), sock=listener, backlog=BACKLOG)
    say(Listening(addresses, port))

    async def tell(question: Ask) -> int | Received:
        return len(notes.bodies) if question.what == "count" else notes.take()

    await answer_questions(Ask, tell)


def answer_of(status: int) -> bytes:
    """Return a whole answer without a body."""
    length = b"" if status == NO_CONTENT else b"Content-Length: 0\r\n"
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode() + length + b"\r\n"


def _due_at(body: bytes) -> float:
    begin = body.index(_DUE) + len(_DUE)
    return datetime.fromisoformat(body[begin : body.index(b'"', begin)].decode()).timestamp()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
