from __future__ import annotations

from shared.store import tokens
from shared.store.pool import Connection
from tests.factories import utc_now


async def test_asking_for_news_touches_what_was_revoked_since_and_no_more(conn: Connection) -> None:
    await conn.execute(
        """
        INSERT INTO tokens (id, sub, access, scope, expires_at, revoked_at)
        SELECT md5(n::text)::uuid, 'alice', 'read', '{a}', now() + interval '1 year',
               CASE WHEN n % 2 = 0 THEN now() - n * interval '1 minute' END
          FROM generate_series(1, 20000) AS n
        """
    )
    await conn.execute("ANALYZE tokens")

    parameters: dict[str, object] = {"since": utc_now(), "kept": tokens.KEPT_REVOKED}
    cursor = await conn.execute(("EXPLAIN " + tokens.REVOKED_SINCE).encode(), parameters)

    plan = "\n".join(row[0] for row in await cursor.fetchall())
    assert "Index Scan using tokens_revoked" in plan
    assert "Seq Scan" not in plan
