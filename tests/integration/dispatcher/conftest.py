from __future__ import annotations

from collections.abc import AsyncGenerator

import aiohttp
import pytest_asyncio

from services.dispatcher import sender
from shared.store.pool import Connection, Pool
from shared.stream.client import Redis
from tests.integration.dispatcher.sending import LOOPBACK
from tests.integration.dispatcher.world import World
from tests.receiver import Receiver


@pytest_asyncio.fixture
async def session() -> AsyncGenerator[aiohttp.ClientSession]:
    """A session that may reach loopback."""
    async with sender.open_session(LOOPBACK) as session:
        yield session


@pytest_asyncio.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


other_receiver = receiver


@pytest_asyncio.fixture
async def world(pool: Pool, redis: Redis, redis_url: str, conn: Connection) -> World:
    return World(pool, redis, redis_url, conn)
