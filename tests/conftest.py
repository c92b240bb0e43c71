"""Real servers for the whole session, empty stores for every test."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator

import pytest
import pytest_asyncio

from shared.store.pool import Connection, Pool, open_pool
from shared.stream.client import Redis, open_client
from tests import servers
from tests.servers import Databases


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--docker", action="store_true", help="use PostgreSQL and Valkey in containers")


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest) -> Generator[Databases]:
    docker = bool(request.config.getoption("--docker"))
    with (
        servers.postgres_server(os.environ.get("QHRONOS_DATABASE_URL"), docker=docker) as url,
        Databases(url, servers.migrate) as databases,
    ):
        yield databases


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest) -> Generator[str]:
    docker = bool(request.config.getoption("--docker"))
    with servers.redis_server(os.environ.get("QHRONOS_REDIS_URL"), docker=docker) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_database(databases: Databases) -> str:
    return databases.create()


@pytest.fixture
def database_url(migrated_database: str) -> Generator[str]:
    """A migrated database, empty again after the test."""
    yield migrated_database
    servers.truncate(migrated_database)


@pytest.fixture
def redis_url(redis_server: str) -> Generator[str]:
    """A Redis database, empty again after the test."""
    yield redis_server
    servers.flush(redis_server)


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncGenerator[Pool]:
    async with open_pool(database_url, name="test", size=8) as pool:
        yield pool


@pytest_asyncio.fixture
async def conn(pool: Pool) -> AsyncGenerator[Connection]:
    async with pool.connection() as conn:
        yield conn


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncGenerator[Redis]:
    async with open_client(redis_url) as client:
        yield client
