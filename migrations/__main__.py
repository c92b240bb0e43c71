"""Bring the database's schema up to date: `python -m migrations`.

Safe to run from many places at once: one advisory lock lets one at a time through, and each file is one transaction.
"""

from __future__ import annotations

import sys

import psycopg

from shared import settings
from shared.store import schema


class MigrationSettings(settings.Settings, frozen=True, kw_only=True):
    """What the migration needs to know."""

    database_url: str


def main() -> int:
    """Apply what is missing and say what was done."""
    config = settings.load(MigrationSettings)
    try:
        with psycopg.connect(config.database_url, autocommit=True) as conn:
            applied = schema.migrate(conn)
    except (psycopg.Error, schema.WrongEncoding) as error:
        sys.stderr.write(f"migrations: {error}\n")
        return 1
    for name in applied:
        sys.stdout.write(f"applied {name}\n")
    sys.stdout.write("the schema is up to date\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
