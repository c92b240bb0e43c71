"""The queue: live deliveries, claimed with SKIP LOCKED, fenced by epoch, finished into `occurrences`.

Every write about a claimed delivery names the epoch that it believes in; a newer claim makes it change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import LiteralString

import msgspec
from psycopg.types.json import Jsonb

from shared.domain import epochs
from shared.domain.content import Content
from shared.domain.deliveries import ClaimedDelivery, DueDelivery, FinalStatus, Held, PlannedDelivery
from shared.domain.ids import EventId, OccurrenceId
from shared.store.pool import Connection

LEASE = timedelta(seconds=60)
HORIZON = timedelta(seconds=2)


class Finished(msgspec.Struct, frozen=True):
    """The end of a claimed delivery."""

    occurrence_id: OccurrenceId
    epoch: int
    status: FinalStatus
    reason: str | None
    requests: int
    """HTTP requests made under this claim: 1, or 0 when it ended before one."""


class Retried(msgspec.Struct, frozen=True):
    """A claimed delivery whose attempt failed; the next one is due after `delay`."""

    occurrence_id: OccurrenceId
    epoch: int
    delay: timedelta


INSERT: LiteralString = """
    INSERT INTO deliveries (occurrence_id, event_id, event_version, next_at, due_at, scheduled_at,
                            epoch, chained, recurrence_id, metadata)
    SELECT occurrence_id, event_id, event_version, scheduled_at, scheduled_at, scheduled_at,
           epoch, chained, recurrence_id, metadata
      FROM unnest(%(occurrence_ids)s::uuid[], %(event_ids)s::uuid[], %(versions)s::integer[],
                  %(scheduled)s::timestamptz[], %(epochs)s::bigint[], %(chained)s::boolean[],
                  %(recurrence_ids)s::text[], %(metadata)s::jsonb[])
        AS planned(occurrence_id, event_id, event_version, scheduled_at, epoch, chained, recurrence_id, metadata)
     WHERE NOT EXISTS (SELECT FROM occurrences AS o WHERE o.id = planned.occurrence_id)
        ON CONFLICT (occurrence_id) DO NOTHING
 RETURNING occurrence_id
"""

CLAIM: LiteralString = """
    UPDATE deliveries AS d
       SET epoch = d.epoch + 1,
           next_at = greatest(d.next_at, coalesce(%(now)s::timestamptz, now())) + %(lease)s,
           leased = true,
           updated_at = coalesce(%(now)s::timestamptz, now())
     WHERE d.ctid = ANY (ARRAY (
               SELECT ctid FROM deliveries
                WHERE next_at <= coalesce(%(now)s::timestamptz, now()) + %(horizon)s
                  AND (NOT leased OR next_at <= coalesce(%(now)s::timestamptz, now()))
                ORDER BY next_at
                LIMIT %(limit)s
                  FOR NO KEY UPDATE SKIP LOCKED))
 RETURNING d.occurrence_id, d.event_id, d.epoch, d.due_at, d.scheduled_at, d.chained
"""

UNCLAIM: LiteralString = """
    UPDATE deliveries AS d
       SET epoch = d.epoch - 1, next_at = d.due_at, leased = false
     WHERE d.occurrence_id = ANY (%(ids)s)
"""

RELEASE: LiteralString = """
    UPDATE deliveries AS d
       SET next_at = d.due_at, leased = false, updated_at = now()
      FROM unnest(%(ids)s::uuid[], %(epochs)s::bigint[]) AS held(occurrence_id, epoch)
     WHERE d.occurrence_id = held.occurrence_id AND d.epoch = held.epoch AND d.leased
"""

NEXT_AT: LiteralString = "SELECT extract(epoch FROM min(next_at) - now())::float8 FROM deliveries"

LOAD: LiteralString = """
    SELECT d.occurrence_id, d.epoch, d.event_id, d.event_version, e.status, v.content, e.webhook_url, e.hmac_secret,
           d.due_at, d.scheduled_at, d.recurrence_id, d.attempts, d.missed_count, d.catch_up, d.replay, d.metadata,
           clock_timestamp(), extract(epoch FROM d.next_at - clock_timestamp())::float8
      FROM unnest(%(ids)s::uuid[], %(epochs)s::bigint[]) AS held(occurrence_id, epoch)
      JOIN deliveries AS d ON d.occurrence_id = held.occurrence_id AND d.epoch = held.epoch
      JOIN events AS e ON e.id = d.event_id
      JOIN event_versions AS v ON v.event_id = d.event_id AND v.version = d.event_version
     WHERE d.leased
       AND d.next_at > clock_timestamp()
"""

EXTEND: LiteralString = """
    UPDATE deliveries AS d
       SET next_at = clock_timestamp() + lease
      FROM unnest(%(ids)s::uuid[], %(epochs)s::bigint[], %(leases)s::interval[]) AS held(occurrence_id, epoch, lease)
     WHERE d.occurrence_id = held.occurrence_id AND d.epoch = held.epoch AND d.leased
 RETURNING d.occurrence_id
"""

FINISH: LiteralString = """
    WITH ended AS (
        DELETE FROM deliveries AS d
         USING unnest(%(ids)s::uuid[], %(epochs)s::bigint[], %(statuses)s::text[], %(reasons)s::text[],
                      %(requests)s::integer[])
            AS finished(occurrence_id, epoch, status, reason, requests)
         WHERE d.occurrence_id = finished.occurrence_id
           AND d.epoch = finished.epoch          -- a newer claim has taken over: change nothing
     RETURNING d.*, finished.status, finished.reason, finished.requests
    ), recorded AS (
        INSERT INTO occurrences AS o (id, event_id, event_version, recurrence_id, scheduled_at, status, status_reason,
                                      epoch, attempt_count, missed_count, metadata, delivered_at, created_at)
        SELECT occurrence_id, event_id, event_version, recurrence_id, scheduled_at, status, reason,
               epoch, attempts + requests, missed_count, metadata,
               CASE WHEN status = 'delivered' THEN now() END, created_at
          FROM ended
    )
    SELECT occurrence_id, event_id, status FROM ended
"""

RETRY: LiteralString = """
    UPDATE deliveries AS d
       SET attempts = d.attempts + 1, leased = false, updated_at = now(),
           next_at = now() + delay, due_at = now() + delay
      FROM unnest(%(ids)s::uuid[], %(epochs)s::bigint[], %(delays)s::interval[]) AS retried(occurrence_id, epoch, delay)
     WHERE d.occurrence_id = retried.occurrence_id AND d.epoch = retried.epoch
 RETURNING d.occurrence_id
"""

# A delivery counts as begun when it is leased and due: its request may be on the wire. The margin covers the time
# between this statement and its commit, in which a dispatcher still sees the row.
CANCEL: LiteralString = """
    WITH cancelled AS (
        DELETE FROM deliveries
         WHERE event_id = %(event_id)s
           AND NOT (leased AND due_at <= clock_timestamp() + interval '100 ms')
     RETURNING *
    )
    INSERT INTO occurrences (id, event_id, event_version, recurrence_id, scheduled_at, status, status_reason,
                             epoch, attempt_count, missed_count, metadata, created_at)
    SELECT occurrence_id, event_id, event_version, recurrence_id, scheduled_at, 'cancelled', %(reason)s,
           epoch, attempts, missed_count, metadata, created_at
      FROM cancelled
"""

UNPLAN: LiteralString = """
    DELETE FROM deliveries
     WHERE event_id = %(event_id)s
       AND recurrence_id IS NOT NULL AND attempts = 0 AND NOT replay
       AND NOT (leased AND due_at <= clock_timestamp() + interval '100 ms')
"""

LAST_BEGUN: LiteralString = """
    SELECT greatest(clock_timestamp(), max(scheduled_at)) FROM deliveries
     WHERE event_id = %(event_id)s AND recurrence_id IS NOT NULL
"""

SET_VERSION: LiteralString = """
    UPDATE deliveries SET event_version = %(version)s
     WHERE event_id = %(event_id)s
       AND attempts = 0
       AND NOT (leased AND due_at <= clock_timestamp() + interval '100 ms')
"""


async def insert(conn: Connection, planned: Sequence[PlannedDelivery]) -> set[OccurrenceId]:
    """Let deliveries wait for their time; return those that were new.

    One that is there already, or has finished, is left as it is.
    """
    cursor = await conn.execute(
        INSERT,
        {
            "occurrence_ids": [p.occurrence_id for p in planned],
            "event_ids": [p.event_id for p in planned],
            "versions": [p.event_version for p in planned],
            "scheduled": [p.scheduled_at for p in planned],
            "epochs": [epochs.epoch_before_first_claim(p.event_version) for p in planned],
            "chained": [p.chained for p in planned],
            "recurrence_ids": [p.recurrence_id for p in planned],
            "metadata": [None if p.metadata is None else Jsonb(p.metadata) for p in planned],
        },
        binary=True,
    )
    return {row[0] for row in await cursor.fetchall()}


async def claim_due(
    conn: Connection,
    *,
    limit: int,
    now: datetime | None = None,
    horizon: timedelta = HORIZON,
    lease: timedelta = LEASE,
) -> list[ClaimedDelivery]:
    """Take what comes due within the horizon, and what another process let its lease run out on."""
    parameters = {"now": now, "horizon": horizon, "lease": lease, "limit": limit}
    cursor = await conn.execute(CLAIM, parameters, binary=True)
    return [
        ClaimedDelivery(
            occurrence_id=occurrence_id,
            event_id=event_id,
            epoch=epoch,
            due_at=due_at,
            scheduled_at=scheduled_at,
            chained=chained,
        )
        for occurrence_id, event_id, epoch, due_at, scheduled_at, chained in await cursor.fetchall()
    ]


async def unclaim(conn: Connection, ids: Sequence[OccurrenceId]) -> None:
    """Undo a claim within the transaction that made it, so that nobody ever saw it."""
    await conn.execute(UNCLAIM, {"ids": list(ids)})


async def release(conn: Connection, held: Sequence[Held | ClaimedDelivery]) -> None:
    """Give claims back before their lease ends; the deliveries are due as before."""
    await conn.execute(RELEASE, _fences(held))


async def seconds_until_next(conn: Connection) -> float | None:
    """Return how long until something is due, retried or rescued; None when nothing waits."""
    cursor = await conn.execute(NEXT_AT, binary=True)
    row = await cursor.fetchone()
    return row[0] if row else None


async def load(conn: Connection, held: Sequence[Held]) -> list[DueDelivery]:
    """Return what is needed to make the attempts; claims that are no longer good are left out."""
    cursor = await conn.execute(LOAD, _fences(held), binary=True)
    return [
        DueDelivery(
            occurrence_id=occurrence_id,
            epoch=epoch,
            event_id=event_id,
            event_version=event_version,
            event_status=status,
            content=msgspec.json.decode(content, type=Content),
            webhook_url=webhook_url,
            hmac_secret=hmac_secret,
            due_at=due_at,
            scheduled_at=scheduled_at,
            recurrence_id=recurrence_id,
            attempts=attempts,
            missed_count=missed_count,
            catch_up=catch_up,
            replay=replay,
            metadata=None if metadata is None else msgspec.json.decode(metadata),
            now=now,
            lease_left=lease_left,
        )
        for (
            occurrence_id, epoch, event_id, event_version, status, content, webhook_url, hmac_secret, due_at,
            scheduled_at, recurrence_id, attempts, missed_count, catch_up, replay, metadata, now, lease_left,
        ) in await cursor.fetchall()
    ]  # fmt: skip


async def extend(conn: Connection, leases: Sequence[tuple[Held, timedelta]]) -> set[OccurrenceId]:
    """Hold claims for longer, counted from now; return those that still were ours."""
    parameters = {**_fences([held for held, _ in leases]), "leases": [lease for _, lease in leases]}
    cursor = await conn.execute(EXTEND, parameters, binary=True)
    return {row[0] for row in await cursor.fetchall()}


async def finish(conn: Connection, finished: Sequence[Finished]) -> list[tuple[OccurrenceId, EventId, FinalStatus]]:
    """Move claimed deliveries into the record; return those whose claim was still good."""
    parameters = {
        **_fences(finished),
        "statuses": [f.status for f in finished],
        "reasons": [f.reason for f in finished],
        "requests": [f.requests for f in finished],
    }
    cursor = await conn.execute(FINISH, parameters, binary=True)
    return [(occurrence_id, event_id, status) for occurrence_id, event_id, status in await cursor.fetchall()]


async def retry(conn: Connection, retried: Sequence[Retried]) -> set[OccurrenceId]:
    """Let claimed deliveries wait for another attempt; return those whose claim was still good."""
    parameters = {**_fences(retried), "delays": [r.delay for r in retried]}
    cursor = await conn.execute(RETRY, parameters, binary=True)
    return {row[0] for row in await cursor.fetchall()}


async def cancel_of_event(conn: Connection, event_id: EventId, *, reason: str) -> None:
    """End every delivery of an event that has not begun, with a record."""
    await conn.execute(CANCEL, {"event_id": event_id, "reason": reason})


async def unplan(conn: Connection, event_id: EventId) -> datetime:
    """Drop what an event's timing had planned and has not begun. Return the instant after which to plan anew."""
    await conn.execute(UNPLAN, {"event_id": event_id})
    cursor = await conn.execute(LAST_BEGUN, {"event_id": event_id}, binary=True)
    [row] = await cursor.fetchall()
    return row[0]


async def set_version(conn: Connection, event_id: EventId, version: int) -> None:
    """Let deliveries that have not begun carry a new version of their event."""
    await conn.execute(SET_VERSION, {"event_id": event_id, "version": version})


def _fences(held: Sequence[Held | ClaimedDelivery | Finished | Retried]) -> dict[str, object]:
    return {"ids": [h.occurrence_id for h in held], "epochs": [h.epoch for h in held]}
