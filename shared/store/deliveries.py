"""The queue: live deliveries, claimed with SKIP LOCKED, fenced by epoch, finished into `occurrences`.

Every write about a claimed delivery names the epoch that it believes in; a newer claim makes it change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import LiteralString

import msgspec

from shared.domain import epochs
from shared.domain.content import Content
from shared.domain.deliveries import (
    ClaimedDelivery,
    DueDelivery,
    FinalStatus,
    Finished,
    Held,
    Retried,
)
from shared.domain.ids import EventId, OccurrenceId
from shared.store import secrets
from shared.store.pool import Connection

LEASE = timedelta(seconds=60)
HORIZON = timedelta(seconds=2)


class Newest(msgspec.Struct, frozen=True):
    """How many of those that come due last a claim looks at, and how many of each destination it takes of them."""

    newest: int
    share: int


NONE = Newest(0, 0)


# Beside what has been due the longest, some of what comes due last, of each destination a share: no backlog, and no
# flood of one destination, stands in the way of the present.
CLAIM: LiteralString = """
    UPDATE deliveries AS d
       SET epoch = d.epoch + 1,
           next_at = greatest(d.next_at, coalesce(%(now)s::timestamptz, now())) + %(lease)s,
           leased = true,
           begun = false,
           updated_at = coalesce(%(now)s::timestamptz, now())
     WHERE d.ctid = ANY (
               ARRAY (
               SELECT ctid FROM deliveries
                WHERE next_at <= coalesce(%(now)s::timestamptz, now()) + %(horizon)s
                  AND (NOT leased OR next_at <= coalesce(%(now)s::timestamptz, now()))
                ORDER BY next_at
                LIMIT %(limit)s
                  FOR NO KEY UPDATE SKIP LOCKED)
               ||
               ARRAY (
               SELECT ctid FROM deliveries
                WHERE ctid = ANY (ARRAY (
                          SELECT ctid
                            FROM (SELECT ctid,
                                         row_number() OVER (PARTITION BY destination ORDER BY next_at DESC) AS place
                                    FROM (SELECT ctid, destination, next_at FROM deliveries
                                           WHERE next_at <= coalesce(%(now)s::timestamptz, now()) + %(horizon)s
                                             AND (NOT leased OR next_at <= coalesce(%(now)s::timestamptz, now()))
                                           ORDER BY next_at DESC
                                           LIMIT %(newest)s) AS newest) AS placed
                           WHERE place <= %(share)s))
                  AND (NOT leased OR next_at <= coalesce(%(now)s::timestamptz, now()))
                  FOR NO KEY UPDATE SKIP LOCKED))
 RETURNING d.occurrence_id, d.event_id, d.epoch, d.destination, d.due_at, d.scheduled_at, d.chained,
           d.recurrence_id IS NOT NULL AND NOT d.replay AND NOT d.catch_up,
           coalesce(%(now)s::timestamptz, now()),
           d.epoch & %(claims)s > 1                 -- not for first claims, which are nearly all: it is a look-up
               AND (SELECT before.leased FROM deliveries AS before WHERE before.occurrence_id = d.occurrence_id)
"""

UNCLAIM: LiteralString = """
    UPDATE deliveries AS d
       SET epoch = d.epoch - 1, next_at = d.due_at, leased = false
     WHERE d.occurrence_id = ANY (%(ids)s)
"""

CATCH_UP: LiteralString = """
    UPDATE deliveries AS d
       SET catch_up = true, missed_count = late.count
      FROM unnest(%(ids)s::uuid[], %(counts)s::integer[]) AS late(occurrence_id, count)
     WHERE d.occurrence_id = ANY (%(ids)s) AND d.occurrence_id = late.occurrence_id
"""

MISS: LiteralString = """
    WITH missed AS (
        DELETE FROM deliveries AS d
         USING unnest(%(ids)s::uuid[], %(counts)s::integer[]) AS m(occurrence_id, count)
         WHERE d.occurrence_id = ANY (%(ids)s) AND d.occurrence_id = m.occurrence_id
     RETURNING d.*, m.count
    )
    INSERT INTO occurrences (id, event_id, event_version, recurrence_id, scheduled_at, status, status_reason,
                             epoch, attempt_count, missed_count, metadata, created_at)
    SELECT occurrence_id, event_id, event_version, recurrence_id, scheduled_at, 'missed', 'misfire',
           epoch, attempts, count, metadata, created_at
      FROM missed
"""

RELEASE: LiteralString = """
    UPDATE deliveries AS d
       SET next_at = d.due_at, leased = false, updated_at = now()
      FROM unnest(%(ids)s::uuid[], %(epochs)s::bigint[]) AS held(occurrence_id, epoch)
     WHERE d.occurrence_id = ANY (%(ids)s)
       AND d.occurrence_id = held.occurrence_id AND d.epoch = held.epoch AND d.leased
       AND NOT d.begun                       -- else its request may be on the wire: the lease decides
 RETURNING d.occurrence_id
"""

DEFER: LiteralString = """
    UPDATE deliveries AS d
       SET next_at = now() + delay, due_at = now() + delay, leased = false, updated_at = now()
      FROM unnest(%(ids)s::uuid[], %(epochs)s::bigint[], %(delays)s::interval[]) AS held(occurrence_id, epoch, delay)
     WHERE d.occurrence_id = ANY (%(ids)s)
       AND d.occurrence_id = held.occurrence_id AND d.epoch = held.epoch AND d.leased
       AND NOT d.begun
"""

FIRST: LiteralString = """
    SELECT extract(epoch FROM next_at - now())::float8, leased FROM deliveries ORDER BY next_at LIMIT 1
"""

# The first attempt sends what the event holds now; a retry, what the first attempt sent.
BEGIN: LiteralString = """
    WITH begun AS (
        UPDATE deliveries AS d
           SET begun = true,
               event_version = CASE WHEN d.attempts = 0 THEN e.version ELSE d.event_version END
          FROM unnest(%(ids)s::uuid[], %(epochs)s::bigint[]) AS held(occurrence_id, epoch), events AS e
         WHERE d.occurrence_id = ANY (%(ids)s)
           AND d.occurrence_id = held.occurrence_id
           AND d.epoch = held.epoch              -- a newer claim has taken over: change nothing
           AND d.leased AND NOT d.begun
           AND d.due_at <= clock_timestamp()     -- never early
           AND d.next_at > clock_timestamp()
           AND e.id = d.event_id
     RETURNING d.*, e.status AS event_status, e.webhook_url AS event_webhook_url, e.hmac_secret,
               e.previous_secrets, e.chain_id
    )
    SELECT d.occurrence_id, d.epoch, d.event_id, coalesce(d.chain_id, d.event_id), d.event_version,
           d.event_status, v.content,
           coalesce(o.webhook_url, d.event_webhook_url), d.hmac_secret, d.previous_secrets, d.due_at,
           d.scheduled_at, d.recurrence_id, d.attempts, d.attempts_before, d.missed_count, d.catch_up, d.replay,
           coalesce(d.replay_at, d.scheduled_at), coalesce(d.metadata, o.metadata),
           CASE WHEN coalesce(v.content ->> 'overlap', 'allow') = 'allow' THEN 0
                ELSE (SELECT count(*)::integer FROM deliveries AS earlier
                       WHERE earlier.event_id = d.event_id AND earlier.scheduled_at < d.scheduled_at
                         AND earlier.recurrence_id IS NOT NULL AND NOT earlier.replay) END,
           clock_timestamp(), extract(epoch FROM d.next_at - clock_timestamp())::float8, v.request_id
      FROM begun AS d
      JOIN event_versions AS v ON v.event_id = d.event_id AND v.version = d.event_version
      LEFT JOIN event_overrides AS o ON o.event_id = d.event_id AND o.recurrence_id = d.recurrence_id
"""

EXTEND: LiteralString = """
    UPDATE deliveries AS d
       SET next_at = clock_timestamp() + lease
      FROM unnest(%(ids)s::uuid[], %(epochs)s::bigint[], %(leases)s::interval[]) AS held(occurrence_id, epoch, lease)
     WHERE d.occurrence_id = ANY (%(ids)s)
       AND d.occurrence_id = held.occurrence_id AND d.epoch = held.epoch AND d.leased
 RETURNING d.occurrence_id
"""

FINISH: LiteralString = """
    WITH ended AS (
        DELETE FROM deliveries AS d
         USING unnest(%(ids)s::uuid[], %(epochs)s::bigint[], %(statuses)s::text[], %(reasons)s::text[],
                      %(requests)s::integer[])
            AS finished(occurrence_id, epoch, status, reason, requests)
         WHERE d.occurrence_id = ANY (%(ids)s)
           AND d.occurrence_id = finished.occurrence_id
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
    SELECT occurrence_id, epoch, event_id, status FROM ended
"""

RETRY: LiteralString = """
    UPDATE deliveries AS d
       SET attempts = d.attempts + retried.requests, leased = false, begun = false, updated_at = now(),
           next_at = now() + delay, due_at = now() + delay
      FROM unnest(%(ids)s::uuid[], %(epochs)s::bigint[], %(delays)s::interval[], %(requests)s::integer[])
        AS retried(occurrence_id, epoch, delay, requests)
     WHERE d.occurrence_id = ANY (%(ids)s)
       AND d.occurrence_id = retried.occurrence_id AND d.epoch = retried.epoch
       AND d.leased                              -- written already: change nothing
 RETURNING d.occurrence_id, d.epoch
"""


async def claim_due(
    conn: Connection,
    *,
    limit: int,
    newest: Newest = NONE,
    now: datetime | None = None,
    horizon: timedelta = HORIZON,
    lease: timedelta = LEASE,
) -> list[ClaimedDelivery]:
    """Take what comes due within the horizon, and what another process let its lease run out on.

    That is up to `limit` of those that are due first, and some of those that are due last, in any order.
    """
    parameters = {
        "now": now,
        "horizon": horizon,
        "lease": lease,
        "limit": limit,
        **msgspec.structs.asdict(newest),
        "claims": epochs.CLAIMS_MASK,
    }
    cursor = await conn.execute(CLAIM, parameters, binary=True)
    return [
        ClaimedDelivery(
            occurrence_id=occurrence_id,
            event_id=event_id,
            epoch=epoch,
            destination=destination,
            due_at=due_at,
            scheduled_at=scheduled_at,
            chained=chained,
            by_timing=by_timing,
            claimed_at=claimed_at,
            after_lease=after_lease,
        )
        for (
            occurrence_id, event_id, epoch, destination, due_at, scheduled_at, chained, by_timing, claimed_at,
            after_lease,
        ) in await cursor.fetchall()
    ]  # fmt: skip


async def unclaim(conn: Connection, ids: Sequence[OccurrenceId]) -> None:
    """Undo a claim within the transaction that made it, so that nobody ever saw it."""
    await conn.execute(UNCLAIM, {"ids": list(ids)})


async def mark_caught_up(conn: Connection, counts: Mapping[OccurrenceId, int]) -> None:
    """Let claims of this transaction say that they are late because nobody ran, and how many before them are missed."""
    await conn.execute(CATCH_UP, {"ids": list(counts), "counts": list(counts.values())})


async def miss(conn: Connection, counts: Mapping[OccurrenceId, int]) -> None:
    """End claims of this transaction as missed; each record stands for as many occurrences, its own the first."""
    await conn.execute(MISS, {"ids": list(counts), "counts": list(counts.values())})


async def release(conn: Connection, held: Sequence[Held | ClaimedDelivery]) -> set[OccurrenceId]:
    """Give back claims whose attempt has not begun, before their lease ends; return those that were still good."""
    cursor = await conn.execute(RELEASE, _fences(held), binary=True)
    return {row[0] for row in await cursor.fetchall()}


async def defer(conn: Connection, put_off: Sequence[tuple[Held, timedelta]]) -> None:
    """Give back claims whose attempt has not begun, to be claimed again after a delay."""
    parameters = {**_fences([held for held, _ in put_off]), "delays": [delay for _, delay in put_off]}
    await conn.execute(DEFER, parameters)


async def until_next(conn: Connection) -> timedelta | None:
    """Return how long until there is something to claim, or a lease ends; None when nothing waits."""
    cursor = await conn.execute(FIRST, binary=True)
    row = await cursor.fetchone()
    if row is None:
        return None
    seconds, leased = row
    return timedelta(seconds=seconds) - (timedelta(0) if leased else HORIZON)


async def begin(conn: Connection, held: Sequence[Held]) -> list[DueDelivery]:
    """Mark attempts as begun and return what is needed to make them; claims that are not good are left out.

    A claim begins once: a second message about it, and a second dispatcher that holds one, begins nothing.
    """
    cursor = await conn.execute(BEGIN, _fences(held), binary=True)
    return [
        DueDelivery(
            occurrence_id=occurrence_id,
            epoch=epoch,
            event_id=event_id,
            chain_id=chain_id,
            event_version=event_version,
            event_status=status,
            content=msgspec.json.decode(content, type=Content),
            webhook_url=webhook_url,
            secrets=secrets.decoded(hmac_secret, previous_secrets),
            due_at=due_at,
            scheduled_at=scheduled_at,
            recurrence_id=recurrence_id,
            attempts=attempts,
            attempts_before=attempts_before,
            missed_count=missed_count,
            catch_up=catch_up,
            replay=replay,
            round_at=round_at,
            metadata=None if metadata is None else msgspec.json.decode(metadata),
            unfinished_before=unfinished_before,
            now=now,
            lease_left=lease_left,
            request_id=request_id,
        )
        for (
            occurrence_id, epoch, event_id, chain_id, event_version, status, content, webhook_url, hmac_secret,
            previous_secrets, due_at, scheduled_at, recurrence_id, attempts, attempts_before, missed_count, catch_up,
            replay, round_at, metadata,
            unfinished_before, now, lease_left, request_id,
        ) in await cursor.fetchall()
    ]  # fmt: skip


async def extend(conn: Connection, leases: Sequence[tuple[Held, timedelta]]) -> set[OccurrenceId]:
    """Hold claims for longer, counted from now; return those that still were ours."""
    parameters = {**_fences([held for held, _ in leases]), "leases": [lease for _, lease in leases]}
    cursor = await conn.execute(EXTEND, parameters, binary=True)
    return {row[0] for row in await cursor.fetchall()}


async def finish(conn: Connection, finished: Sequence[Finished]) -> dict[Held, tuple[EventId, FinalStatus]]:
    """Move claimed deliveries into the record; return those whose claim was still good."""
    parameters = {
        **_fences(finished),
        "statuses": [f.status for f in finished],
        "reasons": [f.reason for f in finished],
        "requests": [f.requests for f in finished],
    }
    cursor = await conn.execute(FINISH, parameters, binary=True)
    return {Held(id_, epoch): (event_id, status) for id_, epoch, event_id, status in await cursor.fetchall()}


async def retry(conn: Connection, retried: Sequence[Retried]) -> set[Held]:
    """Let claimed deliveries wait for another attempt; return those whose claim was still good."""
    parameters = {**_fences(retried), "delays": [r.delay for r in retried], "requests": [r.requests for r in retried]}
    cursor = await conn.execute(RETRY, parameters, binary=True)
    return {Held(id_, epoch) for id_, epoch in await cursor.fetchall()}


def _fences(held: Sequence[Held | ClaimedDelivery | Finished | Retried]) -> dict[str, object]:
    return {"ids": [h.occurrence_id for h in held], "epochs": [h.epoch for h in held]}
