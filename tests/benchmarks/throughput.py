"""How many deliveries a second come through, what each costs, and how much memory the processes take."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec

from tests.benchmarks import helpers, loading, stack, usage
from tests.benchmarks.figures import Figure
from tests.benchmarks.helpers import Helper
from tests.benchmarks.poster import Posted, Posts
from tests.benchmarks.receiver import Received
from tests.benchmarks.stack import Bench, Meter, Receiver
from tests.benchmarks.usage import Memory

CONNECTIONS = (64, 256)
PATIENCE = 90.0
GROUP = "throughput"
BARE = "a bare aiohttp client"


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One backlog worked off."""

    received: Received
    written_per_second: float
    cpu: dict[str, float]
    memory: dict[str, Memory]


class BareRound(msgspec.Struct, frozen=True, kw_only=True):
    """The same number of requests by the bare client."""

    per_second: float
    cpu: float


async def measure(bench: Bench) -> list[Figure]:
    """Measure by turns, so that both meet the same machine."""
    rounds: list[Round] = []
    bare: list[BareRound] = []
    async with stack.receiver() as receiver, helpers.running("poster") as poster:
        idle = await _bare_memory(poster, receiver)
        for _ in range(bench.sizes.rounds):
            bare.append(await _post(poster, receiver, bench.sizes.backlog))
            rounds.append(await _deliver(bench, receiver))
    return [*_speed(rounds, bare), *_cost(rounds, bare, bench.sizes.backlog), *_memory(rounds, idle)]


async def _deliver(bench: Bench, receiver: Receiver) -> Round:
    count = bench.sizes.backlog
    async with bench.stack() as services:
        loading.events_due(services.database_url, receiver.urls, count=count, due_at=loading.soon(0))
        [dispatcher] = await services.start("dispatcher")
        scheduler = services.launch("scheduler")
        await receiver.first(PATIENCE)
        pids = {
            "scheduler": scheduler.pid,
            "dispatcher": dispatcher.pid,
            "postgres": bench.postgres.pid,
            "valkey": bench.valkey.pid,
        }
        meter = Meter(pids)
        begun = loading.soon(0)
        received = await receiver.all(count, PATIENCE)
        await stack.all_written(services, PATIENCE)
        seconds = (loading.soon(0) - begun).total_seconds()
        assert received.distinct == count, f"{received.distinct} of {count} deliveries arrived"
        memory = {name: usage.memory(pid) for name, pid in pids.items()}
        return Round(received=received, written_per_second=count / seconds, cpu=meter.read(), memory=memory)


async def _post(poster: Helper, receiver: Receiver, count: int) -> BareRound:
    found: list[BareRound] = []
    for connections in CONNECTIONS:
        posts = Posts(urls=receiver.urls, count=count, connections=connections)
        posted = await poster.ask(posts, Posted, within=PATIENCE)
        received = await receiver.all(count, PATIENCE)
        found.append(BareRound(per_second=received.per_second, cpu=posted.cpu_seconds))
    return max(found, key=lambda each: each.per_second)


async def _bare_memory(poster: Helper, receiver: Receiver) -> Memory:
    few = Posts(urls=receiver.urls, count=CONNECTIONS[0], connections=CONNECTIONS[0])
    await poster.ask(few, Posted, within=PATIENCE)
    await receiver.all(CONNECTIONS[0], PATIENCE)
    return usage.memory(poster.pid)


def _speed(rounds: Sequence[Round], bare: Sequence[BareRound]) -> list[Figure]:
    baseline = median(each.per_second for each in bare)
    return [
        Figure(
            group=GROUP,
            name="delivered, from the first request received to the last",
            unit="1/s",
            value=median(each.received.per_second for each in rounds),
            baseline=baseline,
            beside=BARE,
        ),
        Figure(
            group=GROUP,
            name="delivered and written down",
            unit="1/s",
            value=median(each.written_per_second for each in rounds),
            baseline=baseline,
            beside=BARE,
        ),
    ]


def _cost(rounds: Sequence[Round], bare: Sequence[BareRound], count: int) -> list[Figure]:
    client = median(each.cpu for each in bare) / count * 1e6
    figures = [
        Figure(
            group=GROUP,
            name=f"CPU of a delivery: {name}",
            unit="µs",
            value=median(each.cpu[name] for each in rounds) / count * 1e6,
            baseline=client if name == "dispatcher" else None,
            beside=BARE if name == "dispatcher" else "",
        )
        for name in rounds[0].cpu
    ]
    whole = sum(figure.value for figure in figures)
    together = Figure(
        group=GROUP, name="CPU of a delivery: all of them", unit="µs", value=whole, baseline=client, beside=BARE
    )
    return [*figures, together]


def _memory(rounds: Sequence[Round], bare: Memory) -> list[Figure]:
    """Return the memory after the backlog, when nothing has been given back yet."""
    return [
        Figure(
            group="memory",
            name=f"{name} after the backlog, {kind.upper()}",
            unit="MB",
            value=median(float(getattr(each.memory[name], f"{kind}_mb")) for each in rounds),
            baseline=float(getattr(bare, f"{kind}_mb")) if name in ("scheduler", "dispatcher") else None,
            beside="a bare aiohttp client after a few requests" if name in ("scheduler", "dispatcher") else "",
        )
        for name in rounds[0].memory
        for kind in ("rss", "pss")
    ]
