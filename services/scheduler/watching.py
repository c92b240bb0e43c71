"""Look at the queue, the stream and the breakers for the metrics. Every scheduler does it for itself."""

from __future__ import annotations

import time
from datetime import timedelta

from shared import metrics
from shared.store import backlog, partitions
from shared.store.pool import Pool
from shared.stream import deliveries as stream
from shared.stream.client import Redis

LOOK_EVERY = timedelta(seconds=5)
COUNT_EVERY = timedelta(seconds=15)
SHARE = 0.02
"""Of its time that counting may take: a long queue is counted less often."""


async def look(pool: Pool, redis: Redis) -> timedelta:
    """Take what is cheap to see."""
    async with pool.connection() as conn:
        metrics.OLDEST_OVERDUE.set((await backlog.oldest_overdue(conn)).total_seconds())
        for state, number in (await backlog.breakers(conn)).items():
            metrics.DESTINATIONS.labels(state=state).set(number)
        metrics.PARTITIONS_AHEAD.set(await partitions.weeks_ahead(conn))
    readers = await stream.readers(redis)
    # Not the group's own figure: it is unknown as soon as an entry has been deleted.
    metrics.STREAM_LAG.set(max(0, await stream.length(redis) - readers.pending))
    metrics.STREAM_PENDING.set(readers.pending)
    metrics.STREAM_CONSUMERS.set(readers.consumers)
    return LOOK_EVERY


async def count(pool: Pool) -> timedelta:
    """Count all live deliveries, and return how long that is good for."""
    begun = time.monotonic()
    async with pool.connection() as conn:
        for status, number in (await backlog.counts(conn)).items():
            metrics.DELIVERIES.labels(status=status).set(number)
    return max(COUNT_EVERY, timedelta(seconds=(time.monotonic() - begun) / SHARE))
