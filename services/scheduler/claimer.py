"""Claim what is due, plan what comes next, then tell the dispatchers: commit, then publish."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import structlog

from services.scheduler import catching_up
from services.scheduler.catching_up import Pace
from shared import metrics, planning, tracing
from shared.domain import epochs
from shared.domain.deliveries import ClaimedDelivery
from shared.store import deliveries, events
from shared.store.deliveries import Newest
from shared.store.pool import Connection, Pool
from shared.stream import deliveries as stream
from shared.stream.client import Redis
from shared.tracing import Kind, Span

BATCH = 400
NEWEST = Newest(600, share=50)
"""Claimed beside a full batch: what has just come due does not wait until a backlog is worked off."""
LONGEST_SLEEP = timedelta(seconds=1)
"""A nudge that is lost costs no more."""
SHORTEST_SLEEP = timedelta(milliseconds=20)
MOST_QUEUED = 10_000
"""Messages on the stream beyond which nothing more is claimed."""
MOST_QUEUED_EACH = 2_000
"""Messages for each dispatcher beyond which a backlog waits in PostgreSQL: enough to keep it busy."""
SHARE_WHEN_FULL = 20
"""Of each destination, while a backlog waits: what comes due now, and no more than dispatchers can put off."""
FULL_STREAM_SLEEP = timedelta(milliseconds=50)

log = structlog.get_logger()


async def run_once(pool: Pool, redis: Redis, pace: Pace) -> timedelta:
    """Make one pass and return how long to sleep unless something new comes in.

    Nothing is claimed while Redis is out of reach or dispatchers do not keep up: what waits in PostgreSQL can still be
    changed, and its lease does not run.
    """
    queued = await stream.length(redis)
    if queued >= MOST_QUEUED:
        return FULL_STREAM_SLEEP
    has_room = queued < MOST_QUEUED_EACH or queued < MOST_QUEUED_EACH * (await stream.readers(redis)).consumers
    async with pool.connection() as conn:
        with metrics.CLAIM_SECONDS.time():
            async with conn.transaction():
                due = await _claim(conn, has_room=has_room)
                claimed = await _plan_on(conn, due, pace)
        metrics.CLAIM_SIZE.observe(len(due))
        metrics.CLAIMED.inc(len(claimed))
        metrics.LEASES_EXPIRED.inc(sum(each.after_lease for each in due))
        if claimed and not await _publish(conn, redis, sorted(claimed, key=lambda claim: claim.due_at)):
            return LONGEST_SLEEP
        _trace(claimed)
        if not has_room:
            return FULL_STREAM_SLEEP
        if len(claimed) >= BATCH:
            return timedelta(0)
        until_next = await deliveries.until_next(conn)
    return LONGEST_SLEEP if until_next is None else min(LONGEST_SLEEP, max(SHORTEST_SLEEP, until_next))


def _trace(claimed: list[ClaimedDelivery]) -> None:
    """Let each claim be a span, of which attempts are the children."""
    if not tracing.is_on():
        return
    now = datetime.now(UTC)
    for each in claimed:
        asked_for = each.by_timing and not each.chained
        tracing.tell(
            Span(
                name="delivery.claimed",
                kind=Kind.PRODUCER,
                place=tracing.place_of_claim(each.occurrence_id, each.epoch),
                parent=tracing.place_of_plan(each.occurrence_id) if asked_for else None,
                begun_at=each.claimed_at,
                ended_at=max(now, each.claimed_at),
                attributes={
                    "messaging.system": "redis",
                    "messaging.destination.name": stream.STREAM,
                    "qhronos.event_id": str(each.event_id),
                    "qhronos.occurrence_id": str(each.occurrence_id),
                    "qhronos.epoch": each.epoch,
                },
            )
        )


async def _claim(conn: Connection, *, has_room: bool) -> list[ClaimedDelivery]:
    if has_room:
        return await deliveries.claim_due(conn, limit=BATCH, newest=NEWEST)
    return await deliveries.claim_due(conn, limit=0, newest=Newest(NEWEST.newest, SHARE_WHEN_FULL))


async def _plan_on(conn: Connection, claimed: list[ClaimedDelivery], pace: Pace) -> list[ClaimedDelivery]:
    """Plan the successors of first claims and settle late ones; return the claims that stand.

    An event that is being changed right now is planned by whoever changes it, so its claim is undone.
    """
    first = [c for c in claimed if (c.chained and epochs.is_first_claim(c.epoch)) or catching_up.is_late(c)]
    if not first:
        return claimed
    plans = await events.to_plan(conn, [c.event_id for c in first])
    undone = {c.occurrence_id for c in first if c.event_id not in plans}
    if undone:
        await deliveries.unclaim(conn, list(undone))
        metrics.RELEASED.labels(why="event_in_change").inc(len(undone))
    planned = [(c, plan) for c in first if (plan := plans.get(c.event_id)) is not None]
    missed = await catching_up.settle(conn, claimed, plans, pace)
    metrics.MISSED.inc(len(missed))
    wanted = [(plan, c.claimed_at if catching_up.is_late(c) else c.scheduled_at) for c, plan in planned if c.chained]
    metrics.PLANNED.inc(len(await planning.plan_next(conn, wanted)))
    return [c for c in claimed if c.occurrence_id not in undone | missed]


async def _publish(conn: Connection, redis: Redis, claimed: list[ClaimedDelivery]) -> bool:
    """Publish committed claims and give back those that were refused; False when any was.

    Of an unknown outcome (the connection is lost meanwhile) the lease decides.
    """
    refused = await stream.publish(redis, claimed)
    if refused:
        log.warning("publish.refused", claims=len(refused), of=len(claimed))
        await deliveries.release(conn, refused)
        metrics.RELEASED.labels(why="publish_refused").inc(len(refused))
    return not refused
