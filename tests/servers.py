"""Give the tests a real PostgreSQL and a real Redis, and databases of their own on them.

In this order: the servers that QHRONOS_DATABASE_URL and QHRONOS_REDIS_URL name, containers when asked for, our own.

What is not ours is never harmed. On a PostgreSQL that was named, only those databases are dropped that this session
made; they are called `qhronos_test_…`. A Redis database that was named must be empty when the session starts (else
`NotEmpty`), so emptying it between tests and at the end takes nothing from anybody; FLUSHALL is never used.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import LiteralString, Self
from urllib.parse import urlsplit

import psycopg
from psycopg import sql
from redis import Redis

from deploy.local.postgres import Postgres
from deploy.local.valkey import Valkey
from shared.store import schema

POSTGRES_IMAGE = "postgres:18"
VALKEY_IMAGE = "valkey/valkey:9"
LARGE_DATABASE = 32 * 1024 * 1024
"""Bytes; one without rows takes about 9 MB."""

TABLES: LiteralString = """
    SELECT n.nspname, c.relname
      FROM pg_class AS c
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p')
       AND NOT c.relispartition
       AND n.nspname NOT IN ('pg_catalog', 'information_schema')
       AND n.nspname NOT LIKE 'pg\\_%%'
       AND c.relname <> ALL (%(kept)s)
"""


class NotEmpty(Exception):
    """The Redis database that QHRONOS_REDIS_URL names holds keys, which the tests would delete."""


@contextmanager
def scratch_folder() -> Generator[Path]:
    """Yield a temporary folder that the embedded servers of root can reach, unlike `tmp_path`."""
    folder = Path(tempfile.mkdtemp(prefix="qhronos-test-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def postgres_server(named: str | None, *, docker: bool = False) -> Generator[str]:
    """Yield the URL of a database on a server where the tests may create databases."""
    if named:
        yield named
    elif docker:
        with docker_postgres() as url:
            yield url
    else:
        with scratch_folder() as folder, Postgres(folder / "postgres", durable=False) as server:
            yield server.url()


@contextmanager
def redis_server(named: str | None, *, docker: bool = False) -> Generator[str]:
    """Yield the URL of a Redis database that the tests may fill and empty; it is left empty."""
    if named:
        refuse_unless_empty(named)
        try:
            yield named
        finally:
            flush(named)
    elif docker:
        with docker_redis() as url:
            yield url
    else:
        with scratch_folder() as folder, Valkey(folder / "valkey", durable=False) as server:
            yield server.url()


@contextmanager
def docker_postgres() -> Generator[str]:
    """Yield the URL of a PostgreSQL in a container."""
    from testcontainers.postgres import PostgresContainer  # noqa: PLC0415 - needed only with --docker

    with PostgresContainer(POSTGRES_IMAGE, driver=None) as container:
        yield container.get_connection_url()


@contextmanager
def docker_redis() -> Generator[str]:
    """Yield the URL of a Valkey in a container."""
    from testcontainers.redis import RedisContainer  # noqa: PLC0415 - needed only with --docker

    with RedisContainer(VALKEY_IMAGE) as container:
        yield f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"


class Databases:
    """Migrated databases on one server: a template is migrated once, each test module or worker gets a clone.

    Close every connection to a database before it is dropped; leaving the `with` block drops all of them.
    """

    def __init__(self, server: str, migrate: Callable[[str], None]) -> None:
        self._server = server
        self._prefix = f"qhronos_test_{uuid.uuid4().hex[:12]}"
        self._numbers = count(1)
        self._made: list[str] = []
        self._migrate = migrate
        self._template: str | None = None

    def create(self) -> str:
        """Return the URL of a new migrated database."""
        if self._template is None:
            self._template = self._create("template", of="template0")
            self._migrate(self.url(self._template))
        return self.url(self._create(str(next(self._numbers)), of=self._template))

    def create_empty(self, options: LiteralString = "") -> str:
        """Return the URL of a new database without a schema, for tests of the migrations."""
        return self.url(self._create(str(next(self._numbers)), of="template0", options=options))

    def copy(self, url: str) -> str:
        """Return the URL of a copy of a database to which nobody is connected."""
        return self.url(self._create(str(next(self._numbers)), of=urlsplit(url).path.removeprefix("/")))

    def drop(self, url: str) -> None:
        """Drop a database that `create` or `create_empty` made; whoever is still connected loses its connection."""
        name = urlsplit(url).path.removeprefix("/")
        self._made.remove(name)
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def url(self, database: str) -> str:
        """Return the URL of a database on the server by its name."""
        return urlsplit(self._server)._replace(path=f"/{database}").geturl()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for name in reversed(self._made.copy()):
            self.drop(self.url(name))

    def _create(self, suffix: str, *, of: str, options: LiteralString = "") -> str:
        name = f"{self._prefix}_{suffix}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} {}")
        self._execute(statement.format(sql.Identifier(name), sql.Identifier(of), sql.SQL(options)))
        self._made.append(name)
        return name

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._server, autocommit=True) as conn:
            conn.execute(statement)


def migrate(url: str) -> None:
    """Bring a database's schema up to date."""
    with psycopg.connect(url, autocommit=True) as conn:
        schema.migrate(conn)


def empty(url: str, *, kept: tuple[str, ...] = ("schema_migrations",)) -> None:
    """Empty every table of a database that `Databases` made, except those named in `kept`.

    For the few rows of most tests, DELETE takes a tenth of the time of TRUNCATE; much of what it leaves behind would
    slow down what follows.
    """
    if not urlsplit(url).path.startswith("/qhronos_test_"):
        raise ValueError(f"not a database of the tests: {urlsplit(url).path}")
    with psycopg.connect(url) as conn:
        names: list[tuple[str, str]] = conn.execute(TABLES, {"kept": list(kept)}).fetchall()
        if not names:
            return
        tables = [sql.Identifier(*name) for name in names]
        (size,) = conn.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
        if size > LARGE_DATABASE:
            conn.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.SQL(", ").join(tables)))
        else:  # in one statement, after which the references are looked at
            parts = [
                sql.SQL("{} AS (DELETE FROM {})").format(sql.Identifier(f"part_{number}"), table)
                for number, table in enumerate(tables)
            ]
            conn.execute(sql.SQL("WITH {} SELECT").format(sql.SQL(", ").join(parts)))


def flush(url: str) -> None:
    """Delete every key of the one Redis database that the URL names."""
    with _client(url) as client:
        client.flushdb()  # pyright: ignore[reportUnknownMemberType]


def refuse_unless_empty(url: str) -> None:
    """Raise `NotEmpty` when the Redis database holds a key."""
    with _client(url) as client:
        if client.dbsize() != 0:  # pyright: ignore[reportUnknownMemberType]
            raise NotEmpty(
                "QHRONOS_REDIS_URL names a database with keys in it: name an empty one, such as redis://…/15"
            )


def _client(url: str) -> Redis:
    return Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]
