"""What every process does alike: start, loop, wait out lost connections, stop on a signal."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
import uvloop

from shared import logging, metrics
from shared.errors import QhronosError
from shared.store import schema
from shared.store.pool import CONNECTION_LOST as POSTGRES_LOST
from shared.store.pool import Pool
from shared.stream.client import CONNECTION_LOST as REDIS_LOST

CONNECTION_LOST = (*POSTGRES_LOST, *REDIS_LOST)

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 2.0

log = structlog.get_logger()


def run(service: str, main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a process until SIGINT or SIGTERM sets the event that `main` is given."""
    logging.configure(service)
    try:
        uvloop.run(_until_signalled(main))
    except QhronosError as error:
        log.error("process.refused_to_start", reason=str(error))  # noqa: TRY400 - the reason is the whole story
        sys.exit(1)


async def _until_signalled(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    await main(stop)


async def repeat(
    name: str, run_once: Callable[[], Awaitable[timedelta]], stop: asyncio.Event, *, wake: asyncio.Event | None = None
) -> None:
    """Run passes until `stop`, waiting between them as long as each one says or until `wake`.

    A lost connection is logged once and tried again, after 0.25 s at first and 2 s at most; anything else ends the
    process.
    """
    failures = 0
    while not stop.is_set():
        try:
            pause = await run_once()
        except CONNECTION_LOST as error:
            failures += 1
            metrics.CONNECTIONS_LOST.labels(loop=name).inc()
            if failures == 1:
                log.warning("connection.lost", loop=name, error=str(error).strip())
            ceiling = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(failures, 8))
            pause = timedelta(seconds=random.uniform(ceiling / 2, ceiling))  # noqa: S311 - no secret
        else:
            if failures:
                log.info("connection.restored", loop=name, failed_passes=failures)
            failures = 0
        await wait(pause, stop, *([wake] if wake else []))


async def wait(longest: timedelta, *events: asyncio.Event) -> None:
    """Return when one of the events is set, or after `longest`."""
    if longest <= timedelta(0) or any(event.is_set() for event in events):
        return
    waiters = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiters, timeout=longest.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()


async def wait_for_schema(pool: Pool, stop: asyncio.Event) -> None:
    """Return when the database can be reached and its schema will do; OldSchema when it is too old."""
    while not stop.is_set():
        try:
            async with pool.connection() as conn:
                await schema.require_current(conn)
        except POSTGRES_LOST as error:
            log.warning("process.waits_for_postgres", error=str(error).strip())
            await wait(timedelta(seconds=_LONGEST_PAUSE), stop)
        else:
            return
