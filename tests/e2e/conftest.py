"""A receiver, and services on the session's servers, for every test."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest_asyncio

from tests.e2e.processes import Stack
from tests.receiver import Receiver


@pytest_asyncio.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest_asyncio.fixture
async def stack(database_url: str, redis_url: str, tmp_path: Path) -> AsyncGenerator[Stack]:
    """Services of which none runs yet."""
    async with Stack(database_url, redis_url, tmp_path) as stack:
        yield stack
