"""What keeps the stores in shape. Any scheduler may do it; an advisory lock lets one at a time."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from psycopg.errors import LockNotAvailable

from shared.store import events, partitions, retention
from shared.store.clock import database_now
from shared.store.pool import Connection, Pool

EVERY = timedelta(hours=1)
SOON = timedelta(minutes=1)
"""When a partition was in use, or more rows are left to delete than one pass may."""
WEEKS_AHEAD = 4

log = structlog.get_logger()


async def run_once(pool: Pool, kept: timedelta | None) -> timedelta:
    """Make the history's next partitions, complete the events that nobody was left to complete, and forget what is old.

    History is `kept` for so long; None: for ever.
    """
    async with pool.connection() as conn:
        now = await database_now(conn)
        swept = await events.sweep_finished(conn)
        made = await partitions.make_ahead(conn, now=now, ahead=WEEKS_AHEAD)
        if swept:
            log.info("events.swept", completed=swept)
        if made:
            log.info("partitions.made", names=made)
        return SOON if await _forget(conn, None if kept is None else now - kept) else EVERY


async def _forget(conn: Connection, before: datetime | None) -> bool:
    """Drop and delete what is too old, history only from `before` an instant; tell whether some of it is left."""
    deleted = {
        "idempotency_keys": await retention.forget_keys(conn),
        "tokens": await retention.forget_tokens(conn),
    }
    left = False
    if before is not None:
        left = not await _drop_partitions(conn, before)
        deleted |= await retention.forget_history(conn, before=before)
    if any(deleted.values()):
        log.info("rows.deleted", **{table: rows for table, rows in deleted.items() if rows})
    return left or retention.BATCH in deleted.values()


async def _drop_partitions(conn: Connection, before: datetime) -> bool:
    """Drop what holds only older history; False when a table is too busy to do it now."""
    for name in await partitions.older_than(conn, before):
        try:
            if await partitions.drop(conn, name):
                log.info("partition.dropped", name=name)
        except LockNotAvailable:
            log.info("partition.in_use", name=name)
            return False
    return True
