"""Fill a database fast, with rows as the API would have written them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import LiteralString

import msgspec
import psycopg

from shared.domain import epochs
from shared.domain.destinations import destination_of
from tests.benchmarks import contents

LOAD_SECONDS = 180

# Ids sort by time, as those that the API makes, and differ by URL, so that one can load twice.
# Tag `team:…` is that of every thousandth event.
EVENTS: LiteralString = """
    WITH made AS MATERIALIZED (
        SELECT n, now() - %(count)s * interval '1 ms' + n * interval '1 ms' AS created_at,
               md5('event' || n || (%(urls)s::text[])[1]) AS hash,
               (%(urls)s::text[])[1 + n %% cardinality(%(urls)s::text[])] AS url,
               (%(destinations)s::bigint[])[1 + n %% cardinality(%(urls)s::text[])] AS destination,
               %(tags)s::text[] || ('team:' || n %% 1000) AS tags
          FROM generate_series(1, %(count)s) AS n
    ), named AS MATERIALIZED (
        SELECT n, url, destination, created_at, tags,
               (lpad(to_hex((extract(epoch FROM created_at) * 1000)::bigint), 12, '0')
                || '7' || left(hash, 3) || '8' || right(hash, 15))::uuid AS id
          FROM made
    ), event AS (
        INSERT INTO events (id, name, tags, webhook_url, likeness, created_by, created_at, updated_at)
        SELECT id, %(name)s, tags, url, n, 'benchmark', created_at, created_at FROM named
    ), version AS (
        INSERT INTO event_versions (event_id, version, content, change, changed_by, changed_at)
        SELECT id, 1, %(content)s::json, 'created', 'benchmark', created_at FROM named
    )
"""
EVENTS_ONLY: LiteralString = EVENTS + "SELECT"
EVENTS_DUE: LiteralString = (
    EVENTS
    + """
    INSERT INTO deliveries (occurrence_id, event_id, event_version, next_at, due_at, scheduled_at, epoch, chained,
                            recurrence_id, destination)
    SELECT (lpad(to_hex((extract(epoch FROM due.at) * 1000)::bigint), 12, '0')
            || '8' || substr(md5(url || n), 1, 3) || '8' || right(md5(url || n), 15))::uuid,
           id, 1, due.at, due.at, due.at, %(epoch)s, false, to_char(due.at, 'YYYY-MM-DD"T"HH24:MI:SS'),
           destination
      FROM named, LATERAL (SELECT %(due_at)s::timestamptz + (n - 1) * %(gap)s::interval AS at) AS due
"""
)

# Of nobody's event: claiming looks at this table alone.
WAITING: LiteralString = """
    INSERT INTO deliveries (occurrence_id, event_id, event_version, next_at, due_at, scheduled_at, epoch, chained,
                            recurrence_id)
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
            || '8' || substr(md5('occurrence' || n), 1, 3) || '8' || right(md5('occurrence' || n), 15))::uuid,
           (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0')
            || '7' || substr(md5('event' || n), 1, 3) || '8' || right(md5('event' || n), 15))::uuid,
           1, at, at, at, %(epoch)s, false, to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS')
      FROM generate_series(1, %(count)s) AS n,
           LATERAL (SELECT now() + CASE WHEN n <= %(due)s THEN - interval '1 minute' + n * interval '1 ms'
                                        ELSE interval '1 hour' + n * interval '1 s' END AS at) AS due
"""


TALLY: LiteralString = """
    SELECT (SELECT count(*) FROM occurrences WHERE status = 'delivered'),
           count(*), coalesce(sum(epoch & %(claims)s), 0)::bigint
      FROM deliveries
"""


class Tally(msgspec.Struct, frozen=True):
    """How many deliveries are where; `claims` counts those that were made on the live ones."""

    delivered: int
    live: int
    claims: int


def events_due(
    url: str, destinations: Sequence[str], *, count: int, due_at: datetime, gap: timedelta = timedelta(0)
) -> None:
    """Store events with one waiting delivery each, the first due at an instant and each other a gap later."""
    _load(url, EVENTS_DUE, {**_shown(destinations, count), "due_at": due_at, "gap": gap})


def events_only(url: str, destinations: Sequence[str], *, count: int) -> None:
    """Store events that wait for nothing, for lists of them."""
    _load(url, EVENTS_ONLY, _shown(destinations, count))


def waiting(url: str, *, count: int, due: int) -> None:
    """Empty the queue, then let `count` deliveries wait in it, of which `due` are due."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("TRUNCATE deliveries")
    _load(url, WAITING, {"count": count, "due": due, "epoch": epochs.epoch_before_first_claim(1)})


def _shown(destinations: Sequence[str], count: int) -> dict[str, object]:
    content = contents.content(destinations[0])
    return {
        "count": count,
        "urls": list(destinations),
        "destinations": [destination_of(url) for url in destinations],
        "tags": list(content.tags),
        "name": content.name,
        "content": msgspec.json.encode(content).decode(),
        "epoch": epochs.epoch_before_first_claim(1),
    }


def _load(url: str, statement: LiteralString, parameters: dict[str, object]) -> None:
    """Load, then let the server do now what it would do by and by: statistics, clean-up, checkpoint."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SELECT set_config('statement_timeout', %s, false)", [f"{LOAD_SECONDS}s"])
        conn.execute(statement, parameters)
        conn.execute("VACUUM ANALYZE events, event_versions, deliveries")
        conn.execute("CHECKPOINT")


def remaining(url: str) -> int:
    """Return how many deliveries are not finished."""
    with psycopg.connect(url) as conn:
        [(count,)] = conn.execute("SELECT count(*) FROM deliveries").fetchall()
        return int(count)


def tally(url: str) -> Tally:
    """Return how many deliveries are made, and how many live."""
    with psycopg.connect(url) as conn:
        [(delivered, live, claims)] = conn.execute(TALLY, {"claims": epochs.CLAIMS_MASK}).fetchall()
        return Tally(delivered, live, claims)


def soon(seconds: float) -> datetime:
    """Return an instant by this machine's clock, which is the database's too."""
    return datetime.now(UTC) + timedelta(seconds=seconds)
