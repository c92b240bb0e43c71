"""Take requests from one bucket as fast as possible, with several connections, in a process of its own.

Says that it is ready, begins when a line comes in, and says how many were admitted.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack

import msgspec

from shared.domain.limits import Limit
from shared.stream import limits
from shared.stream.client import Redis, open_client

CONNECTIONS = 4


async def take(client: Redis, key: str, limit: Limit, until: float) -> int:
    """Return how many requests were admitted until then, and at least one; every other time three are asked for."""
    admitted, keys = 0, [key]
    while time.monotonic() < until or not admitted:
        admitted += sum(taken.admitted for taken in await limits.take(client, keys, limit))
        keys = [key] * (4 - len(keys))
    return admitted


async def main(url: str, key: str, limit: Limit, seconds: float) -> None:
    """Take until the time is over."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(open_client(url)) for _ in range(CONNECTIONS)]
        for client in clients:
            await limits.take(client, [], limit)
        print("ready", flush=True)  # noqa: T201 - heard by the test
        await asyncio.to_thread(sys.stdin.readline)
        until = time.monotonic() + seconds
        print(sum(await asyncio.gather(*(take(client, key, limit, until) for client in clients))))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], msgspec.json.decode(sys.argv[3], type=Limit), float(sys.argv[4])))
