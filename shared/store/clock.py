"""The database's clock, as a process may know it between two questions.

The estimate never runs ahead: it takes the answer's time as the moment at which the answer arrived, and counts on from
there by the monotonic clock. It lags by at most one round trip. A wrong wall clock of the process does no harm.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from shared.store.pool import Connection


async def database_now(conn: Connection) -> datetime:
    """Ask the database what time it is."""
    cursor = await conn.execute("SELECT clock_timestamp()", binary=True)
    [row] = await cursor.fetchall()
    return row[0]


class DatabaseClock:
    """Tells the time of the last `sync`, carried forward."""

    def __init__(self) -> None:
        self._base = datetime.now(UTC)
        self._at = time.monotonic()

    def now(self) -> datetime:
        """Return the database's time, or a little less."""
        return self._base + timedelta(seconds=time.monotonic() - self._at)

    def seconds_until(self, instant: datetime) -> float:
        """Return how long to wait until `instant`; negative when it has passed."""
        return (instant - self.now()).total_seconds()

    async def sync(self, conn: Connection) -> None:
        """Ask the database."""
        self._base = await database_now(conn)
        self._at = time.monotonic()
