"""The tokens that were made here, without their text, and which of them are revoked."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import LiteralString
from uuid import UUID

import msgspec

from shared.domain.ids import TokenId
from shared.domain.tokens import Token
from shared.errors import NotFound
from shared.store.pool import Connection

KEPT_REVOKED = timedelta(days=1)
"""So long after its expiry a revoked token is still told of, for processes whose clock is behind."""


class Revoked(msgspec.Struct, frozen=True):
    """A token that is refused although it has not expired."""

    id: TokenId
    expires_at: datetime


INSERT: LiteralString = """
    INSERT INTO tokens (id, sub, access, scope, expires_at, created_at)
    VALUES (%(id)s, %(sub)s, %(access)s, %(scope)s, %(expires_at)s, %(created_at)s)
"""

NEWEST: LiteralString = """
    SELECT id, sub, access, scope, expires_at, created_at, revoked_at
      FROM tokens
     WHERE %(before_at)s::timestamptz IS NULL OR (created_at, id) < (%(before_at)s, %(before_id)s::uuid)
     ORDER BY created_at DESC, id DESC
     LIMIT %(limit)s
"""

REVOKE: LiteralString = """
    UPDATE tokens
       SET revoked_at = coalesce(revoked_at, now())
     WHERE id = %(id)s
 RETURNING id, expires_at
"""

REVOKED_SINCE: LiteralString = """
    SELECT id, expires_at
      FROM tokens
     WHERE revoked_at >= coalesce(%(since)s, '-infinity'::timestamptz)
       AND expires_at > now() - %(kept)s
"""


async def insert(conn: Connection, token: Token) -> None:
    """Remember that a token was made."""
    await conn.execute(
        INSERT,
        {
            "id": token.id,
            "sub": token.sub,
            "access": token.access,
            "scope": list(token.scope),
            "expires_at": token.expires_at,
            "created_at": token.created_at,
        },
    )


async def newest(conn: Connection, *, before: tuple[datetime, UUID] | None, limit: int) -> list[Token]:
    """Return the newest tokens, older than `before` (creation time and id)."""
    before_at, before_id = before or (None, None)
    parameters = {"before_at": before_at, "before_id": before_id, "limit": limit}
    cursor = await conn.execute(NEWEST, parameters, binary=True, prepare=False)
    return [
        Token(
            id=id_,
            sub=sub,
            access=access,
            scope=tuple(scope),
            expires_at=expires_at,
            created_at=created_at,
            revoked_at=revoked_at,
        )
        for id_, sub, access, scope, expires_at, created_at, revoked_at in await cursor.fetchall()
    ]


async def revoke(conn: Connection, id_: TokenId) -> Revoked:
    """Revoke a token, now unless it was done before. NotFound for one that was not made here."""
    cursor = await conn.execute(REVOKE, {"id": id_}, binary=True)
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"There is no token {id_}.", code="token_not_found")
    return Revoked(*row)


async def revoked_since(conn: Connection, since: datetime | None) -> list[Revoked]:
    """Return the tokens that were revoked from `since` on, or ever, and that somebody may still take for good."""
    cursor = await conn.execute(REVOKED_SINCE, {"since": since, "kept": KEPT_REVOKED}, binary=True)
    return [Revoked(*row) for row in await cursor.fetchall()]
