"""Claim what is due, plan what comes next, then tell the dispatchers: commit, then publish."""

from __future__ import annotations

from datetime import timedelta

import structlog

from shared import metrics, planning
from shared.domain import epochs
from shared.domain.deliveries import ClaimedDelivery
from shared.store import deliveries, events
from shared.store.pool import Connection, Pool
from shared.stream import deliveries as stream
from shared.stream.client import Redis, ResponseError, ping

BATCH = 500
LONGEST_SLEEP = timedelta(seconds=1)
"""A nudge that is lost costs no more."""
SHORTEST_SLEEP = timedelta(milliseconds=20)

log = structlog.get_logger()


async def run_once(pool: Pool, redis: Redis) -> timedelta:
    """Make one pass and return how long to sleep unless something new comes in.

    Nothing is claimed while Redis is out of reach: what is not claimed is published the moment that it is back.
    """
    await ping(redis)
    async with pool.connection() as conn:
        async with conn.transaction():
            claimed = await _plan_on(conn, await deliveries.claim_due(conn, limit=BATCH))
        if claimed:
            await _publish(conn, redis, claimed)
            metrics.CLAIMED.inc(len(claimed))
        if len(claimed) == BATCH:
            return timedelta(0)
        until_next = await deliveries.seconds_until_next(conn)
    if until_next is None:
        return LONGEST_SLEEP
    return min(LONGEST_SLEEP, max(SHORTEST_SLEEP, timedelta(seconds=until_next) - deliveries.HORIZON))


async def _plan_on(conn: Connection, claimed: list[ClaimedDelivery]) -> list[ClaimedDelivery]:
    """Plan the successors of first claims; return the claims that stand.

    An event that is being changed right now is planned by whoever changes it, so its claim is undone.
    """
    first = [c for c in claimed if c.chained and epochs.is_first_claim(c.epoch)]
    if not first:
        return claimed
    plans = await events.timings_to_plan(conn, [c.event_id for c in first])
    undone = {c.occurrence_id for c in first if c.event_id not in plans}
    if undone:
        await deliveries.unclaim(conn, list(undone))
        metrics.RELEASED.labels(why="event_in_change").inc(len(undone))
    wanted = [(plans[c.event_id], c.scheduled_at) for c in first if c.event_id in plans]
    metrics.PLANNED.inc(len(await planning.plan_next(conn, wanted)))
    return [c for c in claimed if c.occurrence_id not in undone]


async def _publish(conn: Connection, redis: Redis, claimed: list[ClaimedDelivery]) -> None:
    """Publish committed claims. A refusal gives them back; of an unknown outcome the lease decides."""
    try:
        await stream.publish(redis, claimed)
    except ResponseError as error:
        log.warning("publish.refused", error=str(error), claims=len(claimed))
        await deliveries.release(conn, claimed)
        metrics.RELEASED.labels(why="publish_refused").inc(len(claimed))
