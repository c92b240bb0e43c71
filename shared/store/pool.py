"""Connections to PostgreSQL, alike in every process.

Autocommit by default: a function that writes twice opens a transaction. JSON columns are read as bytes, so that each
caller decodes them into its own type.
"""

from __future__ import annotations

import select
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec
from prometheus_client import Gauge
from psycopg import AsyncConnection, OperationalError
from psycopg.errors import IdleInTransactionSessionTimeout, ReadOnlySqlTransaction
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg.types.string import ByteaBinaryLoader
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from shared import metrics

Connection = AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[Connection]

CONNECTION_LOST = (OperationalError, PoolTimeout, ReadOnlySqlTransaction, IdleInTransactionSessionTimeout)
"""What a loop waits out and a request answers with 503: also a server that became a standby."""

_GIVE_UP_AFTER = timedelta(seconds=5)
_OPTIONS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "options": "-c timezone=UTC -c statement_timeout=30s -c lock_timeout=10s"
    " -c idle_in_transaction_session_timeout=60s",
}


@asynccontextmanager
async def open_pool(url: str, *, name: str, size: int, checked: bool = False) -> AsyncGenerator[Pool]:
    """Yield a pool of at most `size` connections. It opens at once, whether or not the server can be reached.

    `checked` spares whoever takes a connection one that a restart has broken.
    """
    pool: Pool = AsyncConnectionPool(
        url,
        min_size=min(2, size),
        max_size=size,
        timeout=_GIVE_UP_AFTER.total_seconds(),
        reconnect_timeout=5,
        kwargs={**_OPTIONS, "autocommit": True, "application_name": f"qhronos-{name}"},
        configure=_configure,
        check=_check if checked else None,
        open=False,
    )
    await pool.open()
    gauges = _watched(pool, name)
    try:
        yield pool
    finally:
        await pool.close(timeout=1)
        for gauge in gauges:
            gauge.remove(name)


def _watched(pool: Pool, name: str) -> list[Gauge]:
    """Let metrics tell how much of a pool is in use, read when somebody asks for them."""
    shown = {
        metrics.POOL_CONNECTIONS: "pool_size",
        metrics.POOL_IDLE: "pool_available",
        metrics.POOL_WAITING: "requests_waiting",
    }
    for gauge, key in shown.items():
        gauge.labels(pool=name).set_function(lambda key=key: pool.get_stats().get(key, 0))
    return list(shown)


async def _check(conn: Connection) -> None:
    """Raise OperationalError when the server has ended a connection that waits in the pool.

    It says so and hangs up: only where there is something to read is a round trip worth its time.
    """
    poll = select.poll()
    poll.register(conn.fileno(), select.POLLIN)
    if poll.poll(0):
        await AsyncConnectionPool.check_connection(conn)


def _as_bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else bytes(data)


async def _configure(conn: Connection) -> None:
    set_json_dumps(msgspec.json.encode, conn)
    set_json_loads(_as_bytes, conn)
    conn.adapters.register_loader("json", ByteaBinaryLoader)  # what `json` is in binary, without a call for each value
