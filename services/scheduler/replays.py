"""Work through the replays that clients asked for in bulk: a batch a second of each, in the order of their ids.

A batch and the note of how far it came are one transaction, so a replay goes on where it was when a scheduler dies.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import structlog

from shared.store import replays
from shared.store.pool import Pool

EVERY = timedelta(seconds=1)
BATCH = 100
"""Deliveries that one replay starts in a second."""
MOST_LOOKED_AT = 2_000
"""Records that one pass looks at to find them."""

log = structlog.get_logger()


async def run_once(pool: Pool, wake: asyncio.Event) -> timedelta:
    """Start the next batch of one replay, and `wake` whoever claims it."""
    async with pool.connection() as conn, conn.transaction():
        replay = await replays.take(conn)
        if replay is None:
            return EVERY
        seen = await replays.look(conn, replay, limit=MOST_LOOKED_AT)
        found = await replays.matching(conn, replay, seen)
        batch = found[:BATCH]
        started = await replays.start(conn, batch, finished_before=replay.created_at)
        finished = len(seen) < MOST_LOOKED_AT and len(found) == len(batch)
        if seen:
            last_id = seen[-1] if len(found) == len(batch) else batch[-1]
            replay = msgspec.structs.replace(replay, last_id=last_id)
        await replays.advance(conn, replay, started=len(started), pause=EVERY, finished=finished)
    wake.set()
    log.info("replay.advanced", replay_id=str(replay.id), started=len(started), finished=finished)
    return timedelta(0)
