"""What the runbook tells to ask the database, the database understands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import LiteralString, cast

import pytest

from shared.store.pool import Connection

RUNBOOK = Path(__file__).parents[3] / "deploy" / "monitoring" / "runbook.md"
AN_ID = "01a20ed0-f1d6-8212-8d4e-7330f7a9fd71"

QUERIES = [
    query.strip().replace("…", AN_ID)
    for block in re.findall(r"```sql\n(.*?)```", RUNBOOK.read_text(), re.DOTALL)
    for query in block.split(";")
    if query.strip()
]


def test_there_are_queries() -> None:
    assert len(QUERIES) >= 5


@pytest.mark.parametrize("query", QUERIES)
async def test_the_database_understands_what_it_is_asked(conn: Connection, query: str) -> None:
    cursor = await conn.execute(cast("LiteralString", query))

    assert cursor.description
