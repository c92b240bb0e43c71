"""Let the head of an answer count before its body, or what follows, can spoil it.

aiohttp's parser takes what came in one piece as a whole: a 204 with a body, or a 200 with broken chunks behind it, is
an error and no answer at all. Here each head is parsed by itself. Besides, heads are bounded in sum, informational
ones included, and a connection on which something comes unasked is closed, so that nobody takes it for an answer.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import BadHttpMessage

LARGEST_HEADS = 256 * 1024

_END = b"\r\n\r\n"
_INFORMATIONAL = range(100, 200)
_SWITCHING_PROTOCOLS = 101


def install(connector: aiohttp.TCPConnector) -> None:
    """Let the connector's connections be read in this way."""
    connector._factory = HeadFirst  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]


class HeadFirst(ResponseHandler):
    """The client's side of a connection."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self._awaits_head = False
        self._room = 0

    def set_response_params(self, **params: Any) -> None:  # noqa: ANN401 - passed on as they come
        """Get ready for the answer to the next request."""
        self._awaits_head = True
        self._room = LARGEST_HEADS
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Parse what came: up to the end of each head, then the rest."""
        if data and not self._awaits_head and self._is_complete():
            self.close()
            return
        start = 0
        while self._awaits_head and (end := data.find(_END, start)) >= 0:
            self._parse(data[start : end + len(_END)])
            start = end + len(_END)
        self._parse(data[start:])

    def _parse(self, data: bytes) -> None:
        if self._awaits_head:
            self._room -= len(data)
            if self._room < 0 and self.transport is not None:
                self.transport.close()
                self.set_exception(BadHttpMessage("Too much before an answer"))
        if self.exception() is None:
            super().data_received(data)
            self._awaits_head = self._awaits_head and not self._has_answer()
        if self.exception() is not None:
            self._awaits_head = False
            if self._payload is not None and not self._payload.is_eof():
                self._payload.set_exception(aiohttp.ClientPayloadError())

    def _has_answer(self) -> bool:
        if not self._buffer:
            return False
        (message, _), _ = self._buffer[-1]
        return message.code not in _INFORMATIONAL or message.code == _SWITCHING_PROTOCOLS

    def _is_complete(self) -> bool:
        return self._payload is None or self._payload.is_eof()
