"""The API's process: stateless, any number of them behind one address."""

from __future__ import annotations

import asyncio
import gc
from datetime import timedelta

import structlog

from services.api import app, server
from services.api.context import Context
from services.api.server import Server
from services.api.settings import ApiSettings
from shared import metrics, operations, process, readiness, settings
from shared.store.pool import Pool, open_pool
from shared.stream.client import open_client

SYNC_EVERY = timedelta(seconds=5)

log = structlog.get_logger()


async def serve(config: ApiSettings, stop: asyncio.Event) -> None:
    """Answer requests until `stop`; those under way are finished."""
    warn_of_unsealed_secrets(config)
    async with (  # news has a connection of its own: it does not wait behind requests
        open_pool(config.database_url, name="api", size=10, checked=True) as pool,
        open_pool(config.database_url, name="api-news", size=1) as news,
        open_client(config.redis_url) as redis,
        operations.serve(config.ops_host, config.ops_port, metrics.API, lambda: readiness.check(pool, redis)),
    ):
        await process.wait_for_schema(pool, stop)
        context = Context(config, pool, redis)
        await process.once("clock", lambda: _sync(context, news), stop)
        await process.once("revocations", lambda: context.revocations.run_once(news), stop)
        await context.limiter.connect()
        if stop.is_set():
            return
        api = app.build(context)
        gc.freeze()  # what stays as long as the process need not be looked through again and again
        listening = server.build(api, config)
        async with asyncio.TaskGroup() as loops:
            background = [
                loops.create_task(process.repeat("sync", lambda: _sync(context, news), stop)),
                loops.create_task(process.repeat("revocations", lambda: context.revocations.run_once(news), stop)),
                loops.create_task(process.repeat("nudge", context.nudger.run_once, stop)),
            ]
            loops.create_task(_stop_server(listening, stop))
            await listening.serve()
            stop.set()
            for task in background:
                task.cancel()


def warn_of_unsealed_secrets(config: ApiSettings) -> None:
    """Tell an operator, once at the start, that whoever reads the database can sign."""
    if config.env == "production" and not config.encryption_keys:
        log.warning("secrets.unsealed", hint="set QHRONOS_ENCRYPTION_KEYS, at the dispatchers first")


async def _stop_server(listening: Server, stop: asyncio.Event) -> None:
    await stop.wait()
    listening.should_exit = True


async def _sync(context: Context, news: Pool) -> timedelta:
    async with news.connection() as conn:
        await context.clock.sync(conn)
    return SYNC_EVERY


def main() -> None:
    """Start the API."""
    config = settings.load(ApiSettings)
    process.run("api", config, lambda stop: serve(config, stop))


if __name__ == "__main__":
    main()
