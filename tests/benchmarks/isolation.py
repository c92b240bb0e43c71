"""What bad neighbours do to others: a steady rate to healthy destinations, alone and then beside one of each kind.

All is counted in the end: what was due is delivered, still live, or recorded.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta

import msgspec

from tests.benchmarks import loading, stack, usage
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.loading import Tally
from tests.benchmarks.receiver import Received
from tests.benchmarks.stack import Bench, Meter, Sizes
from tests.e2e.processes import Stack

DESTINATIONS = 20
NEIGHBOUR_PER_SECOND = 100
SLOW = 0.02
NEVER = 86_400.0
IN_ADVANCE = 2.5
"""Seconds until the first is due: a poll of the scheduler, the horizon, and time to load few."""
LOADING_EACH = 0.0001
OVERDUE_BY, OVERDUE_GAP = timedelta(hours=1), timedelta(milliseconds=10)
PATIENCE = 90.0
GROUP = "isolation"
ALONE = "the same without the neighbour"
SHARES = (50, 99, 99.9)

Destination = Callable[[], AbstractAsyncContextManager[str]]


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """So many deliveries to one destination, the first due `after` the healthy ones begin, the others a gap apart."""

    name: str
    destination: Destination
    count: int
    after: timedelta = timedelta(0)
    gap: timedelta = timedelta(0)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of the healthy destinations, and of the processes."""

    received: Received
    tally: Tally
    """Of the neighbour's deliveries."""
    dispatcher_mb: float
    cores: float


async def measure(bench: Bench) -> list[Figure]:
    """Measure the same load again and again, each time beside another neighbour."""
    alone = await _case(bench, None)
    figures = _lateness("alone", alone, None)
    for neighbour in neighbours(bench.sizes)[: bench.sizes.neighbours]:
        figures += _figures(neighbour, await _case(bench, neighbour), alone)
    return figures


def neighbours(sizes: Sizes) -> list[Neighbour]:
    """Return all kinds of bad neighbours, the worst first."""

    def steady(name: str, destination: Destination) -> Neighbour:
        name = f"{name}, {NEIGHBOUR_PER_SECOND}/s"
        count = NEIGHBOUR_PER_SECOND * sizes.isolation_seconds
        return Neighbour(
            name=name, destination=destination, count=count, gap=timedelta(seconds=1) / NEIGHBOUR_PER_SECOND
        )

    def overdue(name: str, destination: Destination) -> Neighbour:
        name = f"{sizes.overdue:,} overdue, {name}"
        return Neighbour(name=name, destination=destination, count=sizes.overdue, after=-OVERDUE_BY, gap=OVERDUE_GAP)

    flooded_after = timedelta(seconds=sizes.isolation_seconds / 4)
    return [
        overdue("hangs", _hangs),
        Neighbour(name=f"flood of {sizes.flood:,}", destination=_slow, count=sizes.flood, after=flooded_after),
        overdue("refuses", _refuses),
        steady("hangs", _hangs),
        steady("answers 500", _fails),
    ]


async def _case(bench: Bench, neighbour: Neighbour | None) -> Case:
    sizes = bench.sizes
    count = sizes.per_second * sizes.isolation_seconds
    others = neighbour.count if neighbour else 0
    async with (
        bench.stack() as services,
        stack.receiver(DESTINATIONS) as receiver,
        # What hangs lets go before the services are asked to stop.
        (neighbour.destination if neighbour else _refuses)() as url,
    ):
        dispatcher, scheduler = await services.start("dispatcher", "scheduler")
        begin = loading.soon(IN_ADVANCE + LOADING_EACH * others)
        if neighbour:
            _load(services, neighbour, url, begin)
        gap = timedelta(seconds=1 / sizes.per_second)
        loading.events_due(services.database_url, receiver.urls, count=count, due_at=begin, gap=gap)
        assert loading.soon(0) < begin, "loading took too long"
        meter = Meter({"dispatcher": dispatcher.pid, "scheduler": scheduler.pid, "postgres": bench.postgres.pid})
        await asyncio.sleep((begin - loading.soon(0)).total_seconds())
        received = await receiver.all(count, sizes.isolation_seconds + PATIENCE)
        cores = sum(meter.read().values()) / sizes.isolation_seconds
        memory = usage.memory(dispatcher.pid).rss_mb
        tally = await _settled(services, count, others)
    assert len(received.due_at) == received.distinct == count, f"{len(received.due_at)} requests of {count}"
    return Case(received=received, tally=tally, dispatcher_mb=memory, cores=cores)


def _load(services: Stack, neighbour: Neighbour, url: str, begin: datetime) -> None:
    due_at = begin + neighbour.after
    loading.events_due(services.database_url, [url], count=neighbour.count, due_at=due_at, gap=neighbour.gap)


async def _settled(services: Stack, healthy: int, others: int) -> Tally:
    """Return what became of the others, when all healthy ones are written down; nothing may be lost."""
    tally = Tally(0, 0, 0)

    async def written() -> bool:
        nonlocal tally
        tally = await asyncio.to_thread(loading.tally, services.database_url)
        return tally.delivered >= healthy

    await stack.until(written, within=PATIENCE)
    assert tally.delivered + tally.live == healthy + others, f"{healthy + others} became {tally}"
    return Tally(tally.delivered - healthy, tally.live, tally.claims)


@asynccontextmanager
async def _hangs() -> AsyncGenerator[str]:
    async with stack.receiver(delay=NEVER) as receiver:
        yield receiver.urls[0]


@asynccontextmanager
async def _fails() -> AsyncGenerator[str]:
    async with stack.receiver(status=500) as receiver:
        yield receiver.urls[0]


@asynccontextmanager
async def _slow() -> AsyncGenerator[str]:
    async with stack.receiver(delay=SLOW) as receiver:
        yield receiver.urls[0]


@asynccontextmanager
async def _refuses() -> AsyncGenerator[str]:
    """Yield the address of a port that is taken and that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/hook"


def _lateness(name: str, case: Case, alone: Case | None) -> list[Figure]:
    return [
        Figure(
            group=GROUP,
            name=f"{name}: from due to received, p{percent:g}",
            unit="ms",
            value=percentile(case.received.late, percent) * 1000,
            baseline=percentile(alone.received.late, percent) * 1000 if alone else None,
            beside=ALONE if alone else "",
        )
        for percent in SHARES
    ]


def _figures(neighbour: Neighbour, case: Case, alone: Case) -> list[Figure]:
    def figure(name: str, unit: str, value: float, baseline: float | None = None) -> Figure:
        beside = "" if baseline is None else ALONE
        name = f"{neighbour.name}: {name}"
        return Figure(group=GROUP, name=name, unit=unit, value=value, baseline=baseline, beside=beside)

    return [
        *_lateness(neighbour.name, case, alone),
        figure("the dispatcher, RSS", "MB", case.dispatcher_mb, alone.dispatcher_mb),
        figure("processor of dispatcher, scheduler, PostgreSQL", "cores", case.cores, alone.cores),
        figure("delivered of its own", "", case.tally.delivered),
        figure("still live of its own", "", case.tally.live),
        figure("claims of these", "", case.tally.claims),
    ]
