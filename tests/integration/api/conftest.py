"""The API's application on the real PostgreSQL and Redis."""

from __future__ import annotations

import pytest
import pytest_asyncio
from litestar.types import ASGIApp

from services.api import app as application
from services.api.context import Context
from shared.store.pool import Pool
from shared.stream.client import Redis
from tests.integration.api.client import MASTER, Api, settings_of_tests


@pytest_asyncio.fixture
async def context(pool: Pool, redis: Redis) -> Context:
    context = Context(settings_of_tests(), pool, redis)
    async with pool.connection() as conn:
        await context.clock.sync(conn)
    return context


@pytest.fixture
def app(context: Context) -> ASGIApp:
    return application.build(context)


@pytest.fixture
def api(app: ASGIApp) -> Api:
    """A client with the master token."""
    return Api(app, MASTER)
