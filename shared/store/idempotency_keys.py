"""The answers to requests that carried an idempotency key, to be given again for a day.

One row is written per key, together with what the answer tells of: a request that fails or dies leaves no row.
"""

from __future__ import annotations

from typing import LiteralString

import msgspec
from psycopg.types.json import Json

from shared.store.pool import Connection


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key and the request that came with it."""

    sub: str
    key: str
    request_hash: bytes


class KeptAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it was sent."""

    request_hash: bytes
    status_code: int
    headers: dict[str, str]
    answer: bytes


TRY_LOCK: LiteralString = """
    SELECT pg_try_advisory_xact_lock(hashtextextended(%(key)s, hashtextextended(%(sub)s, 0)))
"""

FIND: LiteralString = """
    SELECT request_hash, status_code, headers, answer FROM idempotency_keys
     WHERE sub = %(sub)s AND key = %(key)s AND created_at >= now() - interval '24 hours'
"""

KEEP: LiteralString = """
    INSERT INTO idempotency_keys (sub, key, request_hash, status_code, headers, answer)
    VALUES (%(sub)s, %(key)s, %(request_hash)s, %(status_code)s, %(headers)s, %(answer)s)
        ON CONFLICT (sub, key) DO UPDATE      -- of one whose day is over
       SET request_hash = excluded.request_hash, status_code = excluded.status_code,
           headers = excluded.headers, answer = excluded.answer, created_at = excluded.created_at
"""


async def try_lock(conn: Connection, key: Key) -> bool:
    """Keep others with the same key away until the transaction ends; False, without a wait, when somebody does so."""
    cursor = await conn.execute(TRY_LOCK, {"sub": key.sub, "key": key.key}, binary=True)
    [(locked,)] = await cursor.fetchall()
    return locked


async def find(conn: Connection, key: Key) -> KeptAnswer | None:
    """Return the answer that was given to a key less than a day ago. The caller holds its lock."""
    cursor = await conn.execute(FIND, {"sub": key.sub, "key": key.key}, binary=True)
    row = await cursor.fetchone()
    if row is None:
        return None
    request_hash, status_code, headers, answer = row
    return KeptAnswer(
        request_hash=request_hash,
        status_code=status_code,
        headers=msgspec.json.decode(headers, type=dict[str, str]),
        answer=answer,
    )


async def keep(conn: Connection, key: Key, *, status_code: int, headers: dict[str, str], answer: bytes) -> None:
    """Give this answer to the key for a day. The caller holds its lock."""
    await conn.execute(
        KEEP,
        {
            **msgspec.structs.asdict(key),
            "status_code": status_code,
            "headers": Json(headers),
            "answer": answer,
        },
    )
