"""Give back the claims of dispatchers that died, sooner than their leases would.

Only what has not begun: of a request that may be on the wire, the lease decides. A dispatcher that was only frozen, or
cut off from Redis, finds those claims stale when it wakes: each is claimed again under a new epoch.
"""

from __future__ import annotations

from datetime import timedelta

import structlog

from shared import metrics
from shared.store import deliveries
from shared.store.pool import Pool
from shared.stream import deliveries as stream
from shared.stream.client import Redis, ResponseError

LOOK_EVERY = timedelta(seconds=5)
SILENT_FOR = timedelta(seconds=15)
_BATCH = 500

log = structlog.get_logger()


async def run_once(pool: Pool, redis: Redis, consumer: str) -> timedelta:
    """Show that `consumer` lives, then look for others that do not."""
    try:
        await stream.show_life(redis, consumer)
        for dead in await stream.silent_consumers(redis, silent_for=SILENT_FOR):
            await _take_over(pool, redis, dead)
    except ResponseError as error:
        if not str(error).startswith("NOGROUP"):
            raise
    return LOOK_EVERY


async def _take_over(pool: Pool, redis: Redis, dead: str) -> None:
    given_back = 0
    while messages := await stream.pending_of(redis, dead, count=_BATCH):
        held = [message.held for message in messages if message.held]
        async with pool.connection() as conn:
            given_back += len(await deliveries.release(conn, held))
        await stream.forget(redis, [message.id for message in messages])
    await stream.remove_consumer(redis, dead)
    metrics.RELEASED.labels(why="dispatcher_died").inc(given_back)
    log.warning("dispatcher.taken_for_dead", consumer=dead, claims=given_back)
