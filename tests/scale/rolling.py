"""One run: two APIs, two schedulers, four dispatchers, a constant load, and every process replaced once (SIGTERM)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGTERM

import msgspec

from deploy.local.postgres import Postgres
from deploy.local.valkey import Valkey
from tests.benchmarks import loading
from tests.chaos import load, receiver, verdict
from tests.chaos.field import killed_at_the_end, spawn
from tests.chaos.ledger import Ledger
from tests.chaos.verdict import Run, Verdict
from tests.e2e.processes import Process, Stack
from tests.ports import free_port
from tests.scale.clients import Clients
from tests.servers import migrate

FLEET = ("api", "api", "scheduler", "scheduler", "dispatcher", "dispatcher", "dispatcher", "dispatcher")
STORED_A_SECOND = 5_000
LEAD_SECONDS = 3.0
CALM_SECONDS = 1.0
PATIENCE = 120.0
LOOK_SECONDS = 0.5


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is."""

    deliveries: int = 20_000
    rate: float = 400.0
    """Deliveries a second."""
    created: float = 0.05
    """The share that clients create meanwhile; the rest is stored ahead."""


class Replacement(msgspec.Struct, frozen=True, kw_only=True):
    """How one process made room for its successor, in seconds."""

    name: str
    exit_code: int
    ended_after: float
    ready_after: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to; good when `violations` is empty."""

    verdict: Verdict
    replacements: Sequence[Replacement]
    created: int
    asked_again: int
    given_up: Sequence[str]

    @property
    def violations(self) -> list[str]:
        """What must not be."""
        ill = [r.name for r in self.replacements if r.exit_code != 0]
        return [
            *self.verdict.violations,
            *(f"{name} did not end by itself" for name in ill),
            *(f"no API took a request: {seen}" for seen in self.given_up[:1]),
        ]


class Place:
    """One place in the fleet, with its port if it is an API's, and the process that fills it now."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.name = name
        self.port = free_port()
        self._stack = stack
        self._process: Process | None = None

    async def fill(self) -> None:
        """Start a process here and return when it is ready."""
        self._stack.api_port = self.port
        [self._process] = await self._stack.start(self.name)

    async def replace(self) -> Replacement:
        """Ask the process to stop, wait for its end and start the next one."""
        assert self._process is not None
        begun = time.monotonic()
        self._process.signal(SIGTERM)
        code = await self._process.ended()
        ended = time.monotonic()
        await self.fill()
        return Replacement(
            name=self.name, exit_code=code, ended_after=ended - begun, ready_after=time.monotonic() - ended
        )


async def run(options: Options, folder: Path) -> Outcome:
    """Return what was seen. Logs and the ledger stay in `folder`."""
    ledger = Ledger(folder / "ledger")
    ledger.path.touch()
    stored = options.deliveries - round(options.deliveries * options.created)
    async with fleet(folder, ledger) as (stack, places, url):
        begin, due = store(stack, url, stored, rate=options.rate * (1 - options.created))
        await asyncio.sleep((begin - datetime.now(UTC)).total_seconds())
        clients = Clients([place.port for place in places if place.name == "api"], url)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(clients.run(options.deliveries - stored, rate=options.rate * options.created))
            replacing = tasks.create_task(replace_all(places))
        due |= clients.due
        end = time.time()
        await settle(stack, ledger, due, until=end + PATIENCE)
        seen = Run(
            due=due,
            arrivals=ledger.arrivals,
            strikes=[],
            begin=begin.timestamp(),
            end=end,
            unfinished=loading.remaining(stack.database_url),
        )
    return Outcome(
        verdict=verdict.judge(seen),
        replacements=replacing.result(),
        created=len(clients.due),
        asked_again=clients.asked_again,
        given_up=clients.given_up,
    )


@asynccontextmanager
async def fleet(folder: Path, ledger: Ledger) -> AsyncGenerator[tuple[Stack, list[Place], str]]:
    """Yield the services, each ready, and the receiver's URL."""
    with ExitStack() as servers:
        postgres = servers.enter_context(Postgres(folder / "postgres"))
        valkey = servers.enter_context(Valkey(folder / "valkey"))
        migrate(postgres.url())
        port = free_port()
        servers.enter_context(killed_at_the_end(spawn("tests.chaos.receiver", str(port), str(ledger.path))))
        async with Stack(postgres.url(), valkey.url(), folder) as stack:
            places = [Place(stack, name) for name in FLEET]
            for place in places:
                await place.fill()
            yield stack, places, f"http://{receiver.HOST}:{port}"


def store(stack: Stack, url: str, number: int, *, rate: float) -> tuple[datetime, dict[str, float]]:
    """Store events ahead; return when the first is due and what must arrive."""
    now = datetime.now(UTC)
    begin = (now + timedelta(seconds=LEAD_SECONDS + number / STORED_A_SECOND)).replace(microsecond=0)
    events = [load.ahead(content, now) for content in load.once(begin, rate=rate, seconds=number / rate, url=url)]
    load.store(stack.database_url, events)
    assert datetime.now(UTC) < begin, "the machine is too slow to store the load before it begins"
    return begin, {id_: at for event in events for id_, at in event.due.items()}


async def replace_all(places: Sequence[Place]) -> list[Replacement]:
    """Replace one process after the other."""
    replacements: list[Replacement] = []
    for place in places:
        await asyncio.sleep(CALM_SECONDS)
        replacements.append(await place.replace())
    return replacements


async def settle(stack: Stack, ledger: Ledger, due: dict[str, float], *, until: float) -> None:
    """Return when all has arrived and nothing is left that could arrive again, or when patience ends."""
    while time.time() < until:
        ledger.read_on()
        if due.keys() <= ledger.arrived and loading.remaining(stack.database_url) == 0:
            return
        await asyncio.sleep(LOOK_SECONDS)
