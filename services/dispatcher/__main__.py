"""The dispatcher's process: makes the deliveries. Any number of them share the stream's group."""

from __future__ import annotations

import asyncio

from services.dispatcher import dispatcher, rescue, sender
from services.dispatcher.settings import DispatcherSettings
from shared import metrics, operations, process, readiness, settings
from shared.store.pool import open_pool
from shared.stream.client import open_client


async def serve(config: DispatcherSettings, stop: asyncio.Event) -> None:
    """Run until `stop`; what is held is finished or handed back."""
    async with (
        open_pool(config.database_url, name="dispatcher", size=4) as pool,
        open_client(config.redis_url) as redis,
        open_client(config.redis_url, longest_block=dispatcher.LONGEST_BLOCK.total_seconds()) as reading,
        sender.open_session(config.egress_allow) as session,
        operations.serve(config.ops_host, config.ops_port, metrics.DISPATCHER, lambda: readiness.check(pool, redis)),
    ):
        await process.wait_for_schema(pool, stop)
        work = dispatcher.Dispatcher(config, pool, redis, reading, session)
        async with asyncio.TaskGroup() as loops:
            loops.create_task(work.run(stop))
            loops.create_task(process.repeat("rescue", lambda: rescue.run_once(pool, redis, work.consumer), stop))


def main() -> None:
    """Start the dispatcher."""
    config = settings.load(DispatcherSettings)
    process.run("dispatcher", config, lambda stop: serve(config, stop))


if __name__ == "__main__":
    main()
