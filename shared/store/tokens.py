"""The tokens that were made here, without their text."""

from __future__ import annotations

from typing import LiteralString

from shared.domain.tokens import Token
from shared.store.pool import Connection

INSERT: LiteralString = """
    INSERT INTO tokens (id, sub, access, scope, expires_at, created_at)
    VALUES (%(id)s, %(sub)s, %(access)s, %(scope)s, %(expires_at)s, %(created_at)s)
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
