"""Real servers for the whole session, empty stores for every test."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from shared.store.pool import Connection, Pool, open_pool
from shared.stream.client import Redis, open_client
from tests import patience, servers
from tests.servers import Databases

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--docker", action="store_true", help="use PostgreSQL and Valkey in containers")


@pytest.fixture(scope="session", autouse=True)
def _patient() -> Generator[None]:  # pyright: ignore[reportUnusedFunction]
    """A slow machine is nothing that tests are about."""
    with pytest.MonkeyPatch.context() as patch:
        patience.let_our_code_wait(patch)
        yield


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
    servers.empty(migrated_database)


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
