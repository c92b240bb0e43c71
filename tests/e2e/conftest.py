"""A receiver, and services on the session's servers, for every test."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest_asyncio

from tests.e2e.processes import Stack
from tests.receiver import Receiver
from tests.servers import Databases


@pytest_asyncio.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest_asyncio.fixture
async def stack(databases: Databases, redis_url: str, tmp_path: Path) -> AsyncGenerator[Stack]:
    """Services of which none runs yet, on a database of their own: they make partitions in it."""
    async with Stack(databases.create(), redis_url, tmp_path) as stack:
        yield stack
