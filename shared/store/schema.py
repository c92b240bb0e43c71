"""The schema's version: migrations bring it up, services refuse to start below it.

Migrations are files `NNNN_name.sql`, forward only, each applied in one transaction under one advisory lock.
"""

from __future__ import annotations

from pathlib import Path
from typing import LiteralString, cast

import psycopg

from shared.errors import QhronosError
from shared.store.pool import Connection

MIGRATIONS = Path(__file__).parents[2] / "migrations"
_LOCK = 0x71_68_72_6F_6E_6F_73  # "qhronos"


class OldSchema(QhronosError):
    """The database's schema is older than this code needs."""


class WrongEncoding(QhronosError):
    """The database cannot hold every text."""


def available() -> dict[int, Path]:
    """Return the migration files by number."""
    return {int(path.name[:4]): path for path in sorted(MIGRATIONS.glob("[0-9][0-9][0-9][0-9]_*.sql"))}


def migrate(conn: psycopg.Connection) -> list[str]:
    """Apply the migrations that are missing and return their names. `conn` must be in autocommit mode.

    Raises WrongEncoding for a database that is not in UTF8.
    """
    encoding = conn.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise WrongEncoding(
            f"the database's encoding is {encoding}, and Qhronos needs UTF8: "
            "make another one with `createdb --template=template0 --encoding=UTF8`"
        )
    conn.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
    try:
        conn.execute(
            """
            CREATE TABLE IF NOT EXISTS schema_migrations (
                version    integer     PRIMARY KEY,
                name       text        NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now()
            )
            """
        )
        done = {row[0] for row in conn.execute("SELECT version FROM schema_migrations")}
        missing = [(version, path) for version, path in available().items() if version not in done]
        for version, path in missing:
            with conn.transaction():
                conn.execute(cast("LiteralString", path.read_text()))
                conn.execute("INSERT INTO schema_migrations (version, name) VALUES (%s, %s)", [version, path.stem])
        return [path.stem for _, path in missing]
    finally:
        conn.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


async def version_of(conn: Connection) -> int:
    """Return the newest migration that the database has; 0 for an empty database."""
    cursor = await conn.execute("SELECT to_regclass('schema_migrations') IS NOT NULL")
    row = await cursor.fetchone()
    if row is None or not row[0]:
        return 0
    cursor = await conn.execute("SELECT coalesce(max(version), 0) FROM schema_migrations")
    row = await cursor.fetchone()
    return row[0] if row else 0


async def require_current(conn: Connection) -> None:
    """Raise OldSchema unless every migration that this code knows has been applied."""
    found, needed = await version_of(conn), max(available())
    if found < needed:
        raise OldSchema(
            f"the database's schema is at version {found} and this code needs {needed}: run `python -m migrations`"
        )
