"""A webhook receiver for the tests: a real web server on loopback that records requests and answers as told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

import msgspec
from aiohttp import web

from tests.patience import PATIENCE


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What arrived: `at` is `time.time()` when all of it was read, `path` is as it was sent, with its query.

    The names in `headers` are in lower case.
    """

    at: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered, `delay` seconds after the request arrived."""

    status: int
    headers: dict[str, str] = {}
    body: bytes = b""
    delay: float = 0.0


class Receiver:
    """`async with Receiver() as receiver`: listens while the block runs, and answers 200 at first."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._decide: Callable[[Request], Answer | Awaitable[Answer]] = lambda _: Answer(status=200)
        self._arrived = asyncio.Condition()
        self._runner = web.AppRunner(_application(self._handle), access_log=None, shutdown_timeout=0.1)
        self._port = 0

    def url(self, path: str = "/hook") -> str:
        """Return the address of a path on this server."""
        return f"http://127.0.0.1:{self._port}{path}"

    def answer(
        self, status: int, *, headers: Mapping[str, str] | None = None, body: bytes = b"", delay: float = 0.0
    ) -> None:
        """Answer so from now on."""
        answer = Answer(status=status, headers=dict(headers or {}), body=body, delay=delay)
        self._decide = lambda _: answer

    def answer_with(self, decide: Callable[[Request], Answer | Awaitable[Answer]]) -> None:
        """Ask `decide` for each answer from now on, and wait for it; the request is in `requests` already."""
        self._decide = decide

    async def wait_for(self, n: int, within: float = PATIENCE) -> list[Request]:
        """Return all requests as soon as there are `n`, or raise TimeoutError after `within` seconds."""
        try:
            async with asyncio.timeout(within), self._arrived:
                await self._arrived.wait_for(lambda: len(self.requests) >= n)
        except TimeoutError:
            raise TimeoutError(f"{len(self.requests)} of {n} requests within {within} s") from None
        return self.requests

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runner.cleanup()

    async def _handle(self, incoming: web.Request) -> web.StreamResponse:
        request = Request(
            method=incoming.method,
            path=incoming.raw_path,
            headers={name.lower(): value for name, value in incoming.headers.items()},
            body=await incoming.read(),
            at=time.time(),
        )
        self.requests.append(request)
        async with self._arrived:
            self._arrived.notify_all()
        decided = self._decide(request)
        answer = decided if isinstance(decided, Answer) else await decided
        await asyncio.sleep(answer.delay)
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


def _application(handle: Callable[[web.Request], object]) -> web.Application:
    application = web.Application(client_max_size=16 * 1024 * 1024)
    application.router.add_route("*", "/{path:.*}", handle)  # pyright: ignore[reportArgumentType]
    return application
