"""End the pauses whose time has come: those events go on from now."""

from __future__ import annotations

from datetime import timedelta

import structlog

from shared import resuming
from shared.store import events
from shared.store.clock import database_now
from shared.store.pool import Pool
from shared.store.sight import EVERYTHING

EVERY = timedelta(seconds=1)
BATCH = 100
BY = "qhronos"

log = structlog.get_logger()


async def run_once(pool: Pool) -> timedelta:
    """Resume a batch of events."""
    async with pool.connection() as conn, conn.transaction():
        ids = await events.to_resume(conn, limit=BATCH)
        for event_id in ids:
            event = await events.get(conn, event_id, sight=EVERYTHING)
            since = await events.stopped_at(conn, event_id) or event.updated_at
            await resuming.resume(conn, event, since=since, now=await database_now(conn), wish="now", by=BY)
            log.info("event.resumed", event_id=str(event_id))
    return timedelta(0) if len(ids) == BATCH else EVERY
