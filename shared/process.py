"""What every process does alike: start, loop, wait out lost connections, stop on a signal."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
import uvloop

from shared import logging, metrics, tracing
from shared.errors import QhronosError
from shared.recurrence import TZDATA_VERSION
from shared.settings import Settings
from shared.store import schema
from shared.store.pool import CONNECTION_LOST as POSTGRES_LOST
from shared.store.pool import Pool
from shared.stream.client import RedisError
from shared.version import VERSION

CONNECTION_LOST = (*POSTGRES_LOST, RedisError)
"""What a loop waits out: also a Redis that refuses, as a replica, one that loads or one that is full does."""
LONGEST_STOP = 25.0
"""Seconds that a process takes to stop at most: whoever runs it must not kill it sooner."""

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 2.0
_NEW_OBJECTS = 50_000
_OPEN_FILES = 4_096

log = structlog.get_logger()


def run(service: str, config: Settings, main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a process until SIGINT or SIGTERM sets the event that `main` is given."""
    logging.configure(service, readable=config.env == "local")
    # What is loaded stays; and to look through all that lives after every 700 new objects costs a tenth of the time.
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    _allow_connections()
    log.info("process.started", version=VERSION, tzdata=TZDATA_VERSION)
    try:
        tracing.configure(service, config.traces_url, config.traces_share)
        uvloop.run(_until_signalled(main))
    except QhronosError as error:
        log.error("process.refused_to_start", reason=str(error))  # noqa: TRY400 - the reason is the whole story
        sys.exit(1)


def _allow_connections() -> None:
    """Raise the limit of open files, which many systems set to 1 024, as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < _OPEN_FILES:
        log.warning("open_files.few", limit=wanted, wanted=_OPEN_FILES)


async def _until_signalled(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def begin_to_stop() -> None:
        stop.set()
        loop.call_later(LONGEST_STOP, _give_up)

    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, begin_to_stop)
    await main(stop)


def _give_up() -> None:
    """End a process that a frozen server keeps from stopping; what it holds is left to the leases."""
    log.error("process.stopped_hard", after_s=LONGEST_STOP)
    logging.write_out()
    os._exit(1)


async def repeat(
    name: str, run_once: Callable[[], Awaitable[timedelta]], stop: asyncio.Event, *, wake: asyncio.Event | None = None
) -> None:
    """Run passes until `stop`, waiting between them as long as each one says or until `wake`.

    A lost connection is logged once and tried again, after 0.25 s at first and 2 s at most; anything else ends the
    process.
    """
    failures = 0
    lost = metrics.CONNECTIONS_LOST.labels(loop=name)
    while not stop.is_set():
        try:
            pause = await run_once()
        except CONNECTION_LOST as error:
            failures += 1
            lost.inc()
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


async def once(name: str, run: Callable[[], Awaitable[object]], stop: asyncio.Event) -> None:
    """Run something until it succeeds, waiting out lost connections; return without it when `stop` comes first."""
    done = asyncio.Event()

    async def attempt() -> timedelta:
        if not stop.is_set():
            await run()
        done.set()
        return timedelta(0)

    await repeat(name, attempt, done, wake=stop)


async def wait_for_schema(pool: Pool, stop: asyncio.Event) -> None:
    """Return when the database can be reached and its schema will do; OldSchema when it is too old."""

    async def look() -> None:
        async with pool.connection() as conn:
            await schema.require_current(conn)

    await once("schema", look, stop)
