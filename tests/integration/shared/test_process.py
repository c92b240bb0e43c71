from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from shared import process
from shared.store.pool import Pool, open_pool
from shared.store.schema import OldSchema
from tests.patience import PATIENCE
from tests.servers import Databases


@pytest.fixture
def empty(databases: Databases) -> Generator[str]:
    """A database without a schema."""
    url = databases.create_empty()
    yield url
    databases.drop(url)


async def test_a_process_goes_on_with_a_current_schema(pool: Pool) -> None:
    stop = asyncio.Event()

    async with asyncio.timeout(PATIENCE):
        await process.wait_for_schema(pool, stop)

    assert not stop.is_set()


async def test_a_process_refuses_an_old_schema_at_once(empty: str) -> None:
    async with open_pool(empty, name="test", size=1) as pool:
        with pytest.raises(OldSchema, match="python -m migrations"):
            await process.wait_for_schema(pool, asyncio.Event())
