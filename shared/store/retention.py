"""Delete rows that are older than they are to be kept, in bounded batches; whole partitions go by `partitions`."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

from shared.store import partitions
from shared.store.pool import Connection

BATCH = 10_000
"""Rows of one table that one pass deletes."""

IDEMPOTENCY_KEYS: LiteralString = """
    DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY (
        SELECT ctid FROM idempotency_keys WHERE created_at < now() - interval '24 hours' LIMIT %(limit)s))
"""

# Some days after nobody could use them any more, revoked or not.
TOKENS: LiteralString = """
    DELETE FROM tokens WHERE ctid = ANY (ARRAY (
        SELECT ctid FROM tokens WHERE expires_at < now() - interval '7 days' LIMIT %(limit)s))
"""

# What the net below the partitions has caught, and what has no partitions.
OF_HISTORY: dict[str, LiteralString] = {
    "occurrences": """
        DELETE FROM occurrences_default WHERE ctid = ANY (ARRAY (
            SELECT ctid FROM occurrences_default WHERE id < first_id_at(%(before)s) LIMIT %(limit)s))
    """,
    "attempts": """
        DELETE FROM attempts_default WHERE ctid = ANY (ARRAY (
            SELECT ctid FROM attempts_default WHERE started_at < %(before)s LIMIT %(limit)s))
    """,
    "audit": """
        DELETE FROM audit WHERE ctid = ANY (ARRAY (
            SELECT ctid FROM audit WHERE at < %(before)s LIMIT %(limit)s))
    """,
    "replays": """
        DELETE FROM replays WHERE ctid = ANY (ARRAY (
            SELECT ctid FROM replays WHERE finished_at < %(before)s LIMIT %(limit)s))
    """,
    # Once nothing tells of it any more. Its versions and overrides go with it.
    "events": """
        DELETE FROM events WHERE id = ANY (ARRAY (
            SELECT id FROM events AS e
             WHERE status = 'deleted' AND updated_at < %(before)s
               AND NOT EXISTS (SELECT FROM occurrences AS o WHERE o.event_id = e.id)
               AND NOT EXISTS (SELECT FROM deliveries AS d WHERE d.event_id = e.id)
             LIMIT %(limit)s
               FOR UPDATE SKIP LOCKED))
    """,
}


async def forget_keys(conn: Connection) -> int:
    """Delete a batch of idempotency keys whose day is over; return how many."""
    return await _delete(conn, IDEMPOTENCY_KEYS, {})


async def forget_tokens(conn: Connection) -> int:
    """Delete a batch of tokens that have long expired; return how many."""
    return await _delete(conn, TOKENS, {})


async def forget_history(conn: Connection, *, before: datetime) -> dict[str, int]:
    """Delete a batch of each table's rows from before an instant; return how many of each."""
    return {table: await _delete(conn, statement, {"before": before}) for table, statement in OF_HISTORY.items()}


async def _delete(conn: Connection, statement: LiteralString, parameters: dict[str, object]) -> int:
    async with conn.transaction():
        if not await partitions.lock(conn):
            return 0
        cursor = await conn.execute(statement, {**parameters, "limit": BATCH})
        return cursor.rowcount
