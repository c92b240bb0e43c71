"""What it costs to claim a delivery, with few and with many that wait behind the due ones."""

from __future__ import annotations

import asyncio
import time

from services.scheduler.claimer import BATCH
from shared.store import deliveries
from shared.store.pool import Pool, open_pool
from tests.benchmarks import loading
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.stack import Bench

BATCHES = 20
DUE = BATCH * BATCHES


async def measure(bench: Bench) -> list[Figure]:
    """Measure the same claims on both, as the scheduler makes them: each batch in a transaction of its own."""
    many = max(bench.sizes.waiting, DUE)
    async with bench.database() as url, open_pool(url, name="benchmark", size=1) as pool:
        _, few_took, many_took = [await _claim(url, pool, count) for count in (DUE, DUE, many)]  # the first warms up
    return [
        Figure(
            group="claims",
            name=f"claim a delivery, {many:,} waiting, {name} of {BATCHES} batches of {BATCH}",
            unit="µs",
            value=percentile(many_took, percent) / BATCH * 1e6,
            baseline=percentile(few_took, percent) / BATCH * 1e6,
            beside=f"{DUE:,} waiting",
        )
        for name, percent in (("p50", 50), ("worst", 100))
    ]


async def _claim(url: str, pool: Pool, waiting: int) -> list[float]:
    """Return the seconds that each batch took."""
    await asyncio.to_thread(loading.waiting, url, count=waiting, due=DUE)
    took: list[float] = []
    async with pool.connection() as conn:
        for _ in range(BATCHES):
            begun = time.perf_counter()
            async with conn.transaction():
                claimed = await deliveries.claim_due(conn, limit=BATCH)
            took.append(time.perf_counter() - begun)
            assert len(claimed) == BATCH, f"{len(claimed)} of {BATCH} claimed"
    return took
