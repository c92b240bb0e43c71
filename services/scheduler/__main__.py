"""The scheduler's process: claims due deliveries and puts them on the stream. All schedulers are active."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from services.scheduler import claimer, maintenance, pauses, replays, watching
from services.scheduler.catching_up import Pace
from services.scheduler.settings import SchedulerSettings
from shared import metrics, operations, process, readiness, settings
from shared.store.pool import Pool, open_pool
from shared.stream import nudges
from shared.stream.client import Redis, open_client

LONGEST_LISTEN = timedelta(seconds=1)


async def serve(config: SchedulerSettings, stop: asyncio.Event) -> None:
    """Run until `stop`; the pass in hand is finished."""
    async with (
        open_pool(config.database_url, name="scheduler", size=5) as pool,
        open_client(config.redis_url) as redis,
        open_client(config.redis_url, longest_block=LONGEST_LISTEN.total_seconds()) as listening,
        operations.serve(config.ops_host, config.ops_port, metrics.SCHEDULER, lambda: readiness.check(pool, redis)),
    ):
        await process.wait_for_schema(pool, stop)
        wake, pace = asyncio.Event(), Pace()
        async with asyncio.TaskGroup() as loops:
            loops.create_task(process.repeat("claim", lambda: _claim(pool, redis, pace, wake), stop, wake=wake))
            loops.create_task(process.repeat("pauses", lambda: pauses.run_once(pool), stop))
            loops.create_task(process.repeat("replays", lambda: replays.run_once(pool, wake), stop))
            loops.create_task(process.repeat("maintain", lambda: maintenance.run_once(pool, config.retention), stop))
            loops.create_task(process.repeat("look", lambda: watching.look(pool, redis), stop))
            loops.create_task(process.repeat("count", lambda: watching.count(pool), stop))
            loops.create_task(process.repeat("listen", lambda: _listen(listening, wake, stop), stop))


async def _claim(pool: Pool, redis: Redis, pace: Pace, wake: asyncio.Event) -> timedelta:
    wake.clear()
    return await claimer.run_once(pool, redis, pace)


async def _listen(redis: Redis, wake: asyncio.Event, stop: asyncio.Event) -> timedelta:
    async with nudges.subscribe(redis) as subscription:
        while not stop.is_set():
            if await subscription.wait(LONGEST_LISTEN):
                wake.set()
    return timedelta(0)


def main() -> None:
    """Start the scheduler."""
    config = settings.load(SchedulerSettings)
    process.run("scheduler", config, lambda stop: serve(config, stop))


if __name__ == "__main__":
    main()
