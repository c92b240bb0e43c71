"""How deliveries come through with more dispatchers, where each receiver takes 100 ms: many of them, and one."""

from __future__ import annotations

from services.dispatcher.dispatcher import MOST_IN_FLIGHT
from tests.benchmarks import helpers, loading, stack, usage
from tests.benchmarks.figures import Figure
from tests.benchmarks.helpers import Helper
from tests.benchmarks.poster import Posted, Posts
from tests.benchmarks.stack import Bench, Receiver

DELAY = 0.1
DESTINATIONS = 64
WAVES = 10
"""How often each connection of the bare client is used, so that the first and the last wave weigh little."""
PATIENCE = 60.0
GROUP = "scaling"
BARE = "a bare aiohttp client with as many in flight as one dispatcher"


async def measure(bench: Bench) -> list[Figure]:
    """Measure one backlog for each number of dispatchers and of destinations."""
    figures: list[Figure] = []
    async with helpers.running("poster") as poster:
        for destinations in (DESTINATIONS, 1):
            async with stack.receiver(destinations, delay=DELAY) as receiver:
                baseline = await _post(poster, receiver, min(MOST_IN_FLIGHT, bench.sizes.slow))
                for dispatchers in bench.sizes.dispatchers:
                    figures += await _deliver(bench, receiver, dispatchers, baseline)
    return figures


async def _deliver(bench: Bench, receiver: Receiver, dispatchers: int, baseline: float) -> list[Figure]:
    count = bench.sizes.slow
    where = f"{_counted(dispatchers, 'dispatcher')}, {_counted(len(receiver.urls), 'destination')}"
    async with bench.stack() as services:
        loading.events_due(services.database_url, receiver.urls, count=count, due_at=loading.soon(0))
        running = await services.start(*["dispatcher"] * dispatchers)
        services.launch("scheduler")
        received = await receiver.all(count, PATIENCE)
        assert received.distinct == count, f"{received.distinct} of {count} deliveries arrived"
        memory = [usage.memory(each.pid) for each in running]
        await stack.all_written(services, PATIENCE)
    return [
        Figure(group=GROUP, name=where, unit="1/s", value=received.per_second, baseline=baseline, beside=BARE),
        Figure(group=GROUP, name=f"{where}: the largest, RSS", unit="MB", value=max(m.rss_mb for m in memory)),
        Figure(group=GROUP, name=f"{where}: the largest, PSS", unit="MB", value=max(m.pss_mb for m in memory)),
    ]


async def _post(poster: Helper, receiver: Receiver, connections: int) -> float:
    posts = Posts(urls=receiver.urls, count=connections * WAVES, connections=connections)
    await poster.ask(posts, Posted, within=PATIENCE)
    return (await receiver.all(posts.count, PATIENCE)).per_second


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
