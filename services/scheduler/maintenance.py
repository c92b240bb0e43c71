"""What keeps the stores in shape. Any scheduler may do it; an advisory lock lets one at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import structlog

from shared.store import events, partitions
from shared.store.pool import Pool

EVERY = timedelta(hours=1)
WEEKS_AHEAD = 4

log = structlog.get_logger()


async def run_once(pool: Pool) -> timedelta:
    """Make the history's next partitions, and complete the events that nobody was left to complete."""
    async with pool.connection() as conn:
        swept = await events.sweep_finished(conn)
        made = await partitions.make_ahead(conn, now=datetime.now(UTC), ahead=WEEKS_AHEAD)
    if swept:
        log.info("events.swept", completed=swept)
    if made:
        log.info("partitions.made", names=made)
    return EVERY
