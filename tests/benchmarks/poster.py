"""The baseline of all deliveries: a bare aiohttp client that posts the same requests, and nothing else.

A helper. Bodies, headers and signatures are those of real deliveries, and are made before the clock runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import aiohttp
import msgspec
import uvloop

from services.dispatcher.request import WebhookRequest, request_of
from shared.settings import BUILT_IN_HMAC_SECRET
from tests import factories
from tests.benchmarks import contents
from tests.benchmarks.helpers import answer_questions


class Posts(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests to make, from a moment on: so many a second, or all at once.

    `in_advance` is the time to make them ready in.
    """

    urls: list[str]
    count: int
    connections: int
    per_second: float | None = None
    in_advance: float = 0.0


class Posted(msgspec.Struct, frozen=True):
    """What it took the client."""

    cpu_seconds: float


async def post(posts: Posts) -> Posted:
    """Make the requests."""
    begin_at = datetime.now(UTC) + timedelta(seconds=posts.in_advance)
    gap = timedelta(seconds=1 / posts.per_second) if posts.per_second else timedelta(0)
    ready = [_request(posts.urls[n % len(posts.urls)], begin_at + n * gap) for n in range(posts.count)]
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        begun = time.process_time()
        todo = iter(ready)
        async with asyncio.TaskGroup() as clients:
            for _ in range(posts.connections):
                clients.create_task(_client(session, todo))
        return Posted(time.process_time() - begun)


async def _client(session: aiohttp.ClientSession, todo: Iterator[tuple[float, WebhookRequest]]) -> None:
    for due_at, request in todo:
        while (wait := due_at - time.time()) > 0:  # noqa: ASYNC110 - a timer may fire a millisecond early
            await asyncio.sleep(wait)
        async with session.post(request.url, data=request.body, headers=request.headers) as response:
            await response.read()


def _request(url: str, due_at: datetime) -> tuple[float, WebhookRequest]:
    event = factories.event_of(contents.content(url))
    due = factories.due_of(event, now=due_at)
    return due_at.timestamp(), request_of(due, now=due_at, secrets=[BUILT_IN_HMAC_SECRET])


if __name__ == "__main__":
    uvloop.run(answer_questions(Posts, post))
