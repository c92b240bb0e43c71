"""Wait for what another connection or task does, without guessing how long it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from shared.store.pool import Connection
from tests.patience import PATIENCE

_LOOK_EVERY = 0.005


async def until(holds: Callable[[], Awaitable[bool]], *, within: float = PATIENCE) -> None:
    """Return as soon as a condition holds; TimeoutError when it does not in time."""
    async with asyncio.timeout(within):
        while not await holds():  # noqa: ASYNC110 - the condition lives in another process
            await asyncio.sleep(_LOOK_EVERY)


async def until_blocked(owner: Connection, waiter: Connection) -> None:
    """Return as soon as `waiter` waits for a lock that `owner` holds; asked on the owner's connection."""

    async def blocked() -> bool:
        cursor = await owner.execute("SELECT pg_backend_pid() = ANY (pg_blocking_pids(%s))", [waiter.info.backend_pid])
        [row] = await cursor.fetchall()
        return bool(row[0])

    await until(blocked)


async def until_past(conn: Connection, instant: str) -> None:
    """Return when an instant, as the API answers it, has passed by the database's clock."""
    await conn.execute(
        "SELECT pg_sleep(0.01 + greatest(0, extract(epoch FROM %s::timestamptz - clock_timestamp())))", [instant]
    )


async def until_somebody_waits(owner: Connection) -> None:
    """Return as soon as anybody waits for a lock that `owner` holds; asked on the owner's connection."""

    async def waited_for() -> bool:
        # Else a transaction sees only who was there when it looked for the first time.
        await owner.execute("SELECT pg_stat_clear_snapshot()")
        cursor = await owner.execute("""
            SELECT EXISTS (SELECT FROM pg_stat_activity
                            WHERE datname = current_database() AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))
        """)
        [row] = await cursor.fetchall()
        return bool(row[0])

    await until(waited_for)
