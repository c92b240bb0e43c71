"""How many events a second one API process creates, how many lists of them it answers, and how fast."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from statistics import median
from typing import NamedTuple

from tests.benchmarks import contents, helpers, loading, usage
from tests.benchmarks.caller import Called, Calls, Request
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.helpers import Helper
from tests.benchmarks.stack import Bench, Meter, until
from tests.e2e.processes import MASTER
from tests.ports import HOST, free_port

CLIENTS = 32
WARMING = 0.3
WEBHOOK_URL = "http://127.0.0.1:9/hook"
"""Nothing is delivered while this is measured."""
GROUP = "api"
ONE_INSERT = "bare Litestar and psycopg, one INSERT"
ONE_SELECT = "bare Litestar and psycopg, one SELECT"


class Both(NamedTuple):
    """Where ours and the bare one listen, and their processes."""

    port: int
    bare_port: int
    pids: dict[str, int]


async def measure(bench: Bench) -> list[Figure]:
    """Measure creates on an empty table, and lists on a full one."""
    async with bench.stack() as services, helpers.running("caller") as caller:
        [api] = await services.start("api")
        async with _bare(services.database_url) as (bare_port, bare):
            both = Both(services.api_port, bare_port, {"api": api.pid, "bare": bare.pid})
            body = contents.new_event(WEBHOOK_URL)
            create = Request(method="POST", target="/events", token=MASTER, status=201, body=body)
            figures = await _compare(bench, caller, both, create, name="create an event")
            memory = _memory(api.pid, bare.pid)
            await asyncio.to_thread(loading.events_only, services.database_url, [WEBHOOK_URL], count=bench.sizes.events)
            for target, which in (("", ""), ("&tags=team:7", " with a tag")):
                name = f"list 50 of {bench.sizes.events:,} events{which}"
                read = Request(method="GET", target=f"/events?limit=50{target}", token=MASTER, status=200)
                figures += await _compare(bench, caller, both, read, name=name)
            return [*figures, *memory]


async def _compare(bench: Bench, caller: Helper, both: Both, request: Request, *, name: str) -> list[Figure]:
    """Call both by turns."""
    ours: list[Called] = []
    bare: list[Called] = []
    meter = Meter(both.pids)
    for _ in range(bench.sizes.rounds):
        bare.append(await _call(caller, both.bare_port, request, bench.sizes.api_seconds))
        ours.append(await _call(caller, both.port, request, bench.sizes.api_seconds))
    spent = meter.read()
    beside = ONE_INSERT if request.method == "POST" else ONE_SELECT

    def figure(what: str, unit: str, of: Callable[[Called], float]) -> Figure:
        return Figure(
            group=GROUP,
            name=f"{name}, {what}",
            unit=unit,
            value=median(of(each) for each in ours),
            baseline=median(of(each) for each in bare),
            beside=beside,
        )

    return [
        figure(f"{CLIENTS} clients", "1/s", lambda called: called.per_second),
        *[
            figure(f"p{percent}", "ms", lambda called, percent=percent: percentile(called.took, percent) * 1000)
            for percent in (50, 99)
        ],
        Figure(
            group=GROUP,
            name=f"{name}, CPU of the process",
            unit="µs",
            value=spent["api"] / sum(called.answers for called in ours) * 1e6,
            baseline=spent["bare"] / sum(called.answers for called in bare) * 1e6,
            beside=beside,
        ),
    ]


async def _call(caller: Helper, port: int, request: Request, seconds: float) -> Called:
    calls = Calls(host=HOST, port=port, request=request, connections=CLIENTS, seconds=seconds, warming=WARMING)
    called = await caller.ask(calls, Called, within=seconds + 30)
    assert called.wrong is None, called.wrong
    assert called.took, f"no answer within {seconds:g} s"
    return called


@asynccontextmanager
async def _bare(database_url: str) -> AsyncGenerator[tuple[int, Helper]]:
    port = free_port()
    async with helpers.running("bare_api", database_url, str(port)) as helper:
        await helper.hear(str, within=helpers.START_SECONDS)
        await until(lambda: _answers(port), within=helpers.START_SECONDS)
        yield port, helper


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


def _memory(ours: int, bare: int) -> list[Figure]:
    own, other = usage.memory(ours), usage.memory(bare)
    return [
        Figure(
            group="memory",
            name=f"api after the creates, {kind}",
            unit="MB",
            value=value,
            baseline=baseline,
            beside="bare Litestar and psycopg",
        )
        for kind, value, baseline in (("RSS", own.rss_mb, other.rss_mb), ("PSS", own.pss_mb, other.pss_mb))
    ]
