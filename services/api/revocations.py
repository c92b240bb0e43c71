"""The deny list as this process knows it: revoked tokens by their `jti`.

PostgreSQL is asked for news twice a second, so that every process refuses a token within one second of its revocation,
whether or not Redis can be reached. While PostgreSQL is away, what is known stays in force.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from heapq import heappop, heappush

from shared.store import tokens
from shared.store.clock import database_now
from shared.store.pool import Pool
from shared.store.tokens import KEPT_REVOKED, Revoked

ASK_EVERY = timedelta(seconds=0.5)
LATEST_COMMIT = timedelta(minutes=1)
"""A revocation is dated when its statement begins, and seen when that is committed: within the statement time-out."""


class Revocations:
    """Tells whether a token is revoked."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._by_expiry: list[tuple[datetime, str]] = []
        self._since: datetime | None = None

    def __contains__(self, jti: str) -> bool:
        return jti in self._ids

    def learn(self, news: Iterable[Revoked]) -> None:
        """Refuse these tokens from now on."""
        for revoked in news:
            jti = str(revoked.id)
            if jti not in self._ids:
                self._ids.add(jti)
                heappush(self._by_expiry, (revoked.expires_at, jti))

    async def run_once(self, pool: Pool) -> timedelta:
        """Ask for news, all of it the first time, and forget what has expired for everybody."""
        async with pool.connection() as conn:
            now = await database_now(conn)
            self.learn(await tokens.revoked_since(conn, self._since))
        self._since = now - LATEST_COMMIT
        while self._by_expiry and self._by_expiry[0][0] <= now - KEPT_REVOKED:
            self._ids.discard(heappop(self._by_expiry)[1])
        return ASK_EVERY
