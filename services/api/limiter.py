"""Takes requests from the callers' buckets, all that wait in one round trip.

A rate limit is worth no outage: when Redis does not answer in time, requests pass, and for a while nobody waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import structlog

from shared import metrics
from shared.domain.limits import Limit, Taken
from shared.stream import limits
from shared.stream.client import Redis, RedisError

PATIENCE = timedelta(milliseconds=50)
"""How long requests wait for a round trip: each for its own, and at most for the one before it."""
PAUSE = timedelta(seconds=1)
"""How long nobody asks after that, unless the answer comes meanwhile."""
LONGEST_ANSWER = timedelta(seconds=1)

_SLICES = 5

log = structlog.get_logger()


class _Asked(msgspec.Struct, frozen=True):
    key: str
    answer: asyncio.Future[Taken | None]


class Limiter:
    """The rate limit of every caller of this API."""

    def __init__(self, redis: Redis, limit: Limit) -> None:
        self.limit = limit
        self._redis = redis
        self._waiting: list[_Asked] = []
        self._under_way: list[_Asked] = []
        self._asking: asyncio.Task[None] | None = None
        self._quiet_until = 0.0
        self._lost = False

    async def connect(self) -> None:
        """Make the first request's wait as short as any other's, unless Redis is away."""
        await self._answers([])

    async def take(self, name: str) -> Taken | None:
        """Take one request from the bucket of a caller; None, which lets it pass, when Redis does not answer."""
        loop = asyncio.get_running_loop()
        taken = None
        if loop.time() >= self._quiet_until:
            asked = _Asked(limits.PREFIX + name, loop.create_future())
            self._waiting.append(asked)
            if self._asking is None:
                self._asking = loop.create_task(self._ask())
            taken = await asked.answer
        if taken is None:
            metrics.NOT_LIMITED.inc()
        return taken

    async def _ask(self) -> None:
        """Ask until nobody waits any more."""
        try:
            while self._waiting:
                asked = [each for each in self._waiting if not each.answer.done()]
                self._waiting, self._under_way = [], asked
                asking = asyncio.ensure_future(self._answers([each.key for each in asked]))
                while not await _is_done_in_time(asking):
                    self._be_quiet(f"no answer within {PATIENCE.total_seconds() * 1000:g} ms")
                    self._let_pass()
                for each, answer in zip(asked, asking.result(), strict=True):
                    if not each.answer.done():
                        each.answer.set_result(answer)
        finally:
            self._asking = None
            self._let_pass()

    def _let_pass(self) -> None:
        """Let nobody wait any longer."""
        for each in (*self._under_way, *self._waiting):
            if not each.answer.done():
                each.answer.set_result(None)
        self._waiting, self._under_way = [], []

    async def _answers(self, keys: Sequence[str]) -> Sequence[Taken | None]:
        try:
            async with asyncio.timeout(LONGEST_ANSWER.total_seconds()):
                answers = await limits.take(self._redis, keys, self.limit)
        except (RedisError, TimeoutError) as error:
            self._be_quiet(str(error) or "no answer")
            return [None] * len(keys)
        self._quiet_until = 0.0
        if self._lost:
            self._lost = False
            log.info("rate_limit.restored")
        return answers

    def _be_quiet(self, reason: str) -> None:
        self._quiet_until = asyncio.get_running_loop().time() + PAUSE.total_seconds()
        if not self._lost:
            self._lost = True
            log.warning("rate_limit.lost", error=reason)


async def _is_done_in_time(asking: asyncio.Task[Sequence[Taken | None]]) -> bool:
    """Wait with some patience, and tell whether the answers are there.

    In slices, for when this process was busy, a timer may fire before an answer that is there is read: only the
    first one can.
    """
    for _ in range(_SLICES):
        await asyncio.wait({asking}, timeout=PATIENCE.total_seconds() / _SLICES)
        if asking.done():
            return True
    return False
