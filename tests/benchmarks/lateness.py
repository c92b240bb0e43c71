"""How long after its due time a delivery reaches its receiver: of a steady rate, and of a herd that is due at once.

Sender and receiver share this machine's clock, as the database does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from tests.benchmarks import helpers, loading, stack
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.poster import Posted, Posts
from tests.benchmarks.receiver import Received
from tests.benchmarks.stack import Bench, Receiver

IN_ADVANCE = 3.0
"""Seconds until the first is due: the horizon, a poll of the scheduler, and time to load."""
BARE_IN_ADVANCE = 1.0
CONNECTIONS = 64
PATIENCE = 60.0
BARE = "a bare aiohttp client with timers"


async def measure_lateness(bench: Bench) -> list[Figure]:
    """Measure deliveries that are due one after the other."""
    sizes = bench.sizes
    count = sizes.per_second * sizes.lateness_seconds
    ours, bare = await _both(bench, count, per_second=sizes.per_second)
    shares = {f"p{percent:g}": percent for percent in (50, 99, 99.9)}
    figures = [
        Figure(
            group="lateness",
            name=f"from due to received, {name}, at {sizes.per_second}/s",
            unit="ms",
            value=percentile(ours.late, percent) * 1000,
            baseline=percentile(bare.late, percent) * 1000,
            beside=BARE,
        )
        for name, percent in shares.items()
    ]
    return [*figures, _early("lateness", ours.late, bare.late)]


async def measure_herd(bench: Bench) -> list[Figure]:
    """Measure deliveries that are all due at the same instant."""
    ours, bare = await _both(bench, bench.sizes.herd, per_second=None)
    figures = [
        Figure(
            group="herd",
            name=f"from due to received, {name} of {bench.sizes.herd:,}",
            unit="s",
            value=percentile(ours.late, percent),
            baseline=percentile(bare.late, percent),
            beside=BARE,
        )
        for name, percent in (("p50", 50), ("the last", 100))
    ]
    return [*figures, _early("herd", ours.late, bare.late)]


async def _both(bench: Bench, count: int, *, per_second: int | None) -> tuple[Received, Received]:
    within = PATIENCE + (count / per_second if per_second else 0)
    async with stack.receiver() as receiver:
        bare = await _post(receiver, count, per_second, within)
        return await _deliver(bench, receiver, count, per_second, within), bare


async def _deliver(bench: Bench, receiver: Receiver, count: int, per_second: int | None, within: float) -> Received:
    gap = timedelta(seconds=1 / per_second) if per_second else timedelta(0)
    async with bench.stack() as services:
        await services.start("dispatcher", "scheduler")
        due_at = loading.soon(IN_ADVANCE)
        loading.events_due(services.database_url, receiver.urls, count=count, due_at=due_at, gap=gap)
        assert loading.soon(0) < due_at, f"loading took longer than {IN_ADVANCE:g} s"
        received = await receiver.all(count, within)
        assert received.distinct == count, f"{received.distinct} of {count} deliveries arrived"
        await stack.all_written(services, PATIENCE)
        return received


async def _post(receiver: Receiver, count: int, per_second: int | None, within: float) -> Received:
    posts = Posts(
        urls=receiver.urls, count=count, connections=CONNECTIONS, per_second=per_second, in_advance=BARE_IN_ADVANCE
    )
    async with helpers.running("poster") as poster:
        await poster.ask(posts, Posted, within=within)
        return await receiver.all(count, within)


def _early(group: str, ours: Sequence[float], bare: Sequence[float]) -> Figure:
    return Figure(
        group=group,
        name="early ones",
        unit="",
        value=sum(late < 0 for late in ours),
        baseline=sum(late < 0 for late in bare),
        beside=BARE,
    )
