from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest

from shared.store import schema
from shared.store.pool import open_pool
from shared.store.schema import OldSchema, WrongEncoding
from tests.patience import PATIENCE
from tests.servers import Databases

ALL = [path.stem for path in schema.available().values()]


@pytest.fixture
def empty(databases: Databases) -> Generator[str]:
    """A database without a schema."""
    url = databases.create_empty()
    yield url
    databases.drop(url)


def migrate(url: str) -> list[str]:
    with psycopg.connect(url, autocommit=True) as conn:
        return schema.migrate(conn)


def test_migrations_are_numbered_without_a_gap() -> None:
    assert list(schema.available()) == list(range(1, len(ALL) + 1))


def test_an_empty_database_gets_every_migration(empty: str) -> None:
    assert migrate(empty) == ALL


def test_a_database_that_cannot_hold_every_text_is_refused(databases: Databases) -> None:
    url = databases.create_empty("ENCODING 'SQL_ASCII' LOCALE 'C'")
    try:
        with pytest.raises(WrongEncoding, match=r"SQL_ASCII.*createdb --template=template0 --encoding=UTF8"):
            migrate(url)
    finally:
        databases.drop(url)


def test_migrating_twice_changes_nothing(empty: str) -> None:
    migrate(empty)

    assert migrate(empty) == []


def test_two_processes_that_migrate_at_once_share_the_work(empty: str) -> None:
    barrier = Barrier(2, timeout=PATIENCE)

    def migrate_together() -> list[str]:
        with psycopg.connect(empty, autocommit=True) as conn:
            barrier.wait()
            return schema.migrate(conn)

    with ThreadPoolExecutor(2) as threads:
        first, second = (threads.submit(migrate_together) for _ in range(2))

    assert sorted(first.result() + second.result()) == ALL
    with psycopg.connect(empty) as conn:
        assert conn.execute("SELECT name FROM schema_migrations ORDER BY version").fetchall() == [(n,) for n in ALL]


def test_the_lock_is_given_back(empty: str) -> None:
    with psycopg.connect(empty, autocommit=True) as conn:
        schema.migrate(conn)

        assert conn.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)


async def test_an_empty_database_is_at_version_0_and_refused(empty: str) -> None:
    async with open_pool(empty, name="test", size=1) as pool, pool.connection() as conn:
        assert await schema.version_of(conn) == 0
        with pytest.raises(OldSchema, match="python -m migrations"):
            await schema.require_current(conn)


async def test_a_schema_that_is_one_migration_behind_is_refused(empty: str) -> None:
    migrate(empty)
    async with open_pool(empty, name="test", size=1) as pool, pool.connection() as conn:
        await conn.execute("DELETE FROM schema_migrations WHERE version = %s", [max(schema.available())])

        with pytest.raises(OldSchema):
            await schema.require_current(conn)


async def test_a_schema_that_is_ahead_of_the_code_will_do(empty: str) -> None:
    migrate(empty)
    async with open_pool(empty, name="test", size=1) as pool, pool.connection() as conn:
        await conn.execute("INSERT INTO schema_migrations (version, name) VALUES (9999, 'later')")

        await schema.require_current(conn)
        assert await schema.version_of(conn) == 9999
