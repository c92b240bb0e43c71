"""Servers as `make run` has them, and services on them, for as long as something is measured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime

import msgspec

from deploy.local.postgres import Postgres
from deploy.local.valkey import Valkey
from services.scheduler import maintenance
from shared.store import partitions
from shared.store.pool import open_pool
from tests import servers
from tests.benchmarks import helpers, loading, usage
from tests.benchmarks.helpers import Helper
from tests.benchmarks.receiver import NO_CONTENT, Ask, Listening, Received
from tests.e2e.processes import Stack
from tests.servers import Databases

LOOK_EVERY = 0.02
ANSWER_SECONDS = 20.0


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured."""

    backlog: int = 20_000
    rounds: int = 3
    lateness_seconds: int = 30
    per_second: int = 200
    herd: int = 5_000
    events: int = 1_000_000
    api_seconds: float = 1.5
    waiting: int = 2_000_000
    slow: int = 3_000
    isolation_seconds: int = 20
    flood: int = 50_000
    overdue: int = 100_000
    neighbours: int = 5
    """How many of the bad neighbours are measured, the worst first."""
    dispatchers: tuple[int, ...] = (1, 2, 4)


QUICK = Sizes(
    backlog=3_000,
    rounds=1,
    lateness_seconds=1,
    herd=500,
    events=20_000,
    api_seconds=0.4,
    waiting=50_000,
    slow=300,
    isolation_seconds=1,
    flood=1_000,
    overdue=2_000,
    neighbours=3,
    dispatchers=(1,),
)


class Bench:
    """The servers, and how much is measured on them."""

    def __init__(self, postgres: Postgres, valkey: Valkey, databases: Databases, sizes: Sizes) -> None:
        self.postgres = postgres
        self.valkey = valkey
        self.sizes = sizes
        self._databases = databases

    @asynccontextmanager
    async def database(self) -> AsyncGenerator[str]:
        """Yield the URL of a new database, with its partitions made ahead, which is dropped in the end."""
        url = self._databases.create()
        try:
            async with open_pool(url, name="benchmark", size=1) as pool, pool.connection() as conn:
                await partitions.make_ahead(conn, now=datetime.now(UTC), ahead=maintenance.WEEKS_AHEAD)
            yield url
        finally:
            self._databases.drop(url)

    @asynccontextmanager
    async def stack(self) -> AsyncGenerator[Stack]:
        """Yield services, none of which runs yet, on a new database and an empty Redis."""
        servers.flush(self.valkey.url())
        async with self.database() as url:
            with servers.scratch_folder() as logs:
                async with Stack(url, self.valkey.url(), logs) as stack:
                    yield stack


@contextmanager
def running_bench(sizes: Sizes) -> Generator[Bench]:
    """Run the servers until the block ends; their data is removed with them."""
    with (
        servers.scratch_folder() as folder,
        Postgres(folder / "postgres") as postgres,
        Valkey(folder / "valkey") as valkey,
        Databases(postgres.url(), servers.migrate) as databases,
    ):
        yield Bench(postgres, valkey, databases, sizes)


class Receiver:
    """The receiver's process."""

    def __init__(self, helper: Helper, listening: Listening) -> None:
        self.urls = listening.urls
        self._helper = helper

    async def first(self, within: float) -> None:
        """Return when something has arrived."""
        await self._until(1, within)

    async def all(self, count: int, within: float) -> Received:
        """Return when so many requests have arrived, with all about them; TimeoutError when they do not."""
        await self._until(count, within)
        return await self.take()

    async def take(self) -> Received:
        """Return what has arrived, and begin anew."""
        return await self._helper.ask(Ask("take"), Received, within=ANSWER_SECONDS)

    async def _until(self, count: int, within: float) -> None:
        found = 0

        async def arrived() -> bool:
            nonlocal found
            found = await self._helper.ask(Ask("count"), int, within=ANSWER_SECONDS)
            return found >= count

        try:
            await until(arrived, within=within)
        except TimeoutError:
            raise TimeoutError(f"{found} of {count} requests within {within:g} s") from None


@asynccontextmanager
async def receiver(destinations: int = 1, *, delay: float = 0.0, status: int = NO_CONTENT) -> AsyncGenerator[Receiver]:
    """Yield a receiver that has so many addresses and takes `delay` seconds to answer with a status."""
    async with helpers.running("receiver", str(destinations), str(delay), str(status)) as helper:
        yield Receiver(helper, await helper.hear(Listening, within=helpers.START_SECONDS))


async def until(holds: Callable[[], Awaitable[bool]], *, within: float) -> None:
    """Return when a condition holds; TimeoutError when it does not in time."""
    async with asyncio.timeout(within):
        while not await holds():  # noqa: ASYNC110 - the condition lives in another process
            await asyncio.sleep(LOOK_EVERY)


async def all_written(stack: Stack, within: float) -> None:
    """Return when every delivery is finished."""

    async def finished() -> bool:
        return await asyncio.to_thread(loading.remaining, stack.database_url) == 0

    await until(finished, within=within)


class Meter:
    """Processor time of processes by name, from now on."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._before = {name: usage.cpu_seconds(pid) for name, pid in pids.items()}

    def read(self) -> dict[str, float]:
        """Return the seconds that each has used since."""
        return {name: usage.cpu_seconds(pid) - self._before[name] for name, pid in self._pids.items()}
