from __future__ import annotations

import socket
from collections.abc import Generator

import psycopg
import pytest

from shared import readiness
from shared.readiness import Readiness, SchemaState
from shared.store import schema
from shared.store.pool import Pool, open_pool
from shared.stream.client import Redis, open_client
from tests.ports import free_port
from tests.servers import Databases

NEEDED = max(schema.available())
CURRENT = SchemaState(NEEDED, NEEDED)


@pytest.fixture
def own(databases: Databases) -> Generator[str]:
    """A migrated database of its own."""
    url = databases.create()
    yield url
    databases.drop(url)


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer is given up, as in production, after two seconds."""
    monkeypatch.setattr(readiness, "_PATIENCE", 2.0)


@pytest.fixture
def silent() -> Generator[str]:
    """An address where somebody listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


async def test_a_process_with_both_servers_is_ready(pool: Pool, redis: Redis) -> None:
    assert await readiness.check(pool, redis) == Readiness("ready", "ok", "ok", CURRENT)


async def test_a_schema_that_is_too_old_is_not_ready(own: str, redis: Redis) -> None:
    with psycopg.connect(own) as conn:
        conn.execute("DELETE FROM schema_migrations WHERE version = %s", [NEEDED])
    async with open_pool(own, name="test", size=1) as pool:
        found = await readiness.check(pool, redis)

    assert found == Readiness("not_ready", "ok", "ok", SchemaState(NEEDED - 1, NEEDED))


async def test_a_database_without_a_schema_is_not_ready(own: str, redis: Redis) -> None:
    with psycopg.connect(own) as conn:
        conn.execute("DROP TABLE schema_migrations")
    async with open_pool(own, name="test", size=1) as pool:
        found = await readiness.check(pool, redis)

    assert found == Readiness("not_ready", "ok", "ok", SchemaState(0, NEEDED))


async def test_a_schema_that_is_ahead_is_ready(own: str, redis: Redis) -> None:
    with psycopg.connect(own) as conn:
        conn.execute("INSERT INTO schema_migrations (version, name) VALUES (9999, 'later')")
    async with open_pool(own, name="test", size=1) as pool:
        found = await readiness.check(pool, redis)

    assert found == Readiness("ready", "ok", "ok", SchemaState(9999, NEEDED))


@pytest.mark.usefixtures("impatient")
async def test_without_postgresql_a_process_is_not_ready(nobody: str, redis: Redis) -> None:
    async with open_pool(f"postgresql://{nobody}/qhronos", name="test", size=1) as pool:
        found = await readiness.check(pool, redis)

    assert found == Readiness("not_ready", "unreachable", "ok", SchemaState(None, NEEDED))


async def test_without_redis_a_process_is_not_ready(pool: Pool, nobody: str) -> None:
    async with open_client(f"redis://{nobody}/0") as redis:
        found = await readiness.check(pool, redis)

    assert found == Readiness("not_ready", "ok", "unreachable", CURRENT)


@pytest.mark.usefixtures("impatient")
async def test_servers_that_never_answer_count_as_gone_together(silent: str) -> None:
    async with (
        open_pool(f"postgresql://{silent}/qhronos", name="test", size=1) as pool,
        open_client(f"redis://{silent}/0") as redis,
    ):
        found = await readiness.check(pool, redis)

    assert found == Readiness("not_ready", "unreachable", "unreachable", SchemaState(None, NEEDED))


async def test_a_process_is_ready_again_when_its_connection_is(own: str, redis: Redis) -> None:
    async with open_pool(own, name="test", size=1) as pool:
        assert (await readiness.check(pool, redis)).status == "ready"
        with psycopg.connect(own, autocommit=True) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid, 50000) FROM pg_stat_activity WHERE application_name = 'qhronos-test'"
            )

        first, second = [await readiness.check(pool, redis) for _ in range(2)]

        assert (first.postgres, second) == ("unreachable", Readiness("ready", "ok", "ok", CURRENT))
