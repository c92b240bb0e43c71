"""Stand between a client and a server, and break a connection at a chosen word: what was on its way is lost."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path


class Relay:
    """Forwards bytes between Unix sockets until a client sends the word."""

    def __init__(self, upstream: Path) -> None:
        self._upstream = upstream
        self._word: bytes | None = None
        self._is_forwarded = False
        self._is_for_good = False
        self.broken = asyncio.Event()

    def break_at(self, word: bytes, *, forwarded: bool, for_good: bool = False) -> None:
        """Break the next connection on which `word` is sent, before or after the server has done what it asks for.

        After that all goes on, or, for good, no connection is taken any more.
        """
        self._word = word
        self._is_forwarded = forwarded
        self._is_for_good = for_good

    @asynccontextmanager
    async def listening(self, socket: Path) -> AsyncGenerator[None]:
        """Take connections in the block."""
        async with await asyncio.start_unix_server(self._serve, socket):
            yield

    async def _serve(self, client: StreamReader, to_client: StreamWriter) -> None:
        if self.broken.is_set() and self._is_for_good:
            to_client.close()
            return
        server, to_server = await asyncio.open_unix_connection(self._upstream)
        answers = asyncio.create_task(_copy(server, to_client))
        with contextlib.suppress(ConnectionError):
            while data := await client.read(1 << 20):
                is_last = self._word is not None and self._word in data
                if is_last:
                    self._word = None
                    answers.cancel()
                    await asyncio.wait([answers])
                if not is_last or self._is_forwarded:
                    to_server.write(data)
                    await to_server.drain()
                if is_last:
                    if self._is_forwarded:
                        await server.read(1 << 20)
                    self.broken.set()
                    break
        answers.cancel()
        to_server.close()
        to_client.close()


async def _copy(source: StreamReader, sink: StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(1 << 20):
            sink.write(data)
            await sink.drain()
