"""Requests made as the dispatcher makes them, and servers that answer byte by byte as a test says."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network

import aiohttp
import msgspec

from services.dispatcher import sender
from services.dispatcher.request import request_of
from shared.domain.attempts import Attempt
from shared.domain.content import Method
from shared.settings import Networks
from shared.store import attempts
from shared.store.pool import Connection
from tests.factories import NOON, content_of, due_of, event_of
from tests.patience import PATIENCE

LOOPBACK: Networks = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
LONG = timedelta(seconds=PATIENCE)
SHORT = timedelta(milliseconds=150)

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def sent(
    session: aiohttp.ClientSession,
    url: str,
    *,
    within: timedelta = LONG,
    method: Method = "POST",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Attempt:
    """Send one delivery to `url`; `headers` are the event's own, `body` replaces the standard one."""
    event = event_of(msgspec.structs.replace(content_of(url=url), method=method, headers=dict(headers or {})))
    due = due_of(event)
    request = request_of(due, now=NOON, secrets=["the secret of all"])
    if body is not None:
        request = msgspec.structs.replace(request, body=body)
    return await sender.send(session, request, due, within=within, started_at=NOON)


@asynccontextmanager
async def raw_server(serve: Serve, *, tls: ssl.SSLContext | None = None) -> AsyncGenerator[str]:
    """Serve connections by hand and yield the address; whatever still runs at the end is cut off."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(*answer: bytes, then_wait: bool = False) -> Serve:
    """Read a request's head, say each part of `answer` by itself, close; or leave the connection open."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in answer:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if then_wait:
            await reader.read()

    return serve


def flooding(head: bytes, part: bytes, closed: asyncio.Event | None = None) -> Serve:
    """Read a request's head, say `head`, then `part` without end; set `closed` when the other side has had enough."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        try:
            while True:
                writer.write(part)
                await writer.drain()
        except ConnectionError:
            if closed:
                closed.set()

    return serve


async def storable(conn: Connection, attempt: Attempt) -> bool:
    """Tell whether an attempt comes back from the database as it went in."""
    await attempts.record(conn, [attempt])
    stored = await attempts.of_occurrence(conn, attempt.occurrence_id, before=None, limit=1)
    return stored == [msgspec.structs.replace(attempt, retry_after=None)]
