"""Tell the schedulers that something new is due within their horizon: a hint that saves them a poll."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Protocol, cast

from shared.stream.client import Redis

CHANNEL = "qhronos:nudges"


class Nudges(Protocol):
    """A subscription; `wait` tells whether a nudge came in time."""

    async def wait(self, longest: timedelta) -> bool:
        """Wait for a nudge."""
        ...


async def nudge(client: Redis) -> None:
    """Wake every scheduler that listens."""
    await client.publish(CHANNEL, b"")  # pyright: ignore[reportUnknownMemberType]


class _Subscription:
    def __init__(self, pubsub: Any) -> None:  # noqa: ANN401 - the driver does not say
        self._pubsub = pubsub

    async def wait(self, longest: timedelta) -> bool:
        message = await self._pubsub.get_message(ignore_subscribe_messages=True, timeout=longest.total_seconds())
        return message is not None


@asynccontextmanager
async def subscribe(client: Redis) -> AsyncGenerator[Nudges]:
    """Listen for nudges until the block ends."""
    pubsub = cast("Any", client).pubsub()
    try:
        await pubsub.subscribe(CHANNEL)
        yield _Subscription(pubsub)
    finally:
        await pubsub.aclose()
