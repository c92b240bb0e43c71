"""Every process is replaced under load, one after the other, as an upgrade does it: nobody who waits notices."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from signal import SIGTERM

import aiohttp
import psycopg

from tests.benchmarks import loading
from tests.e2e.processes import Process, Stack
from tests.factories import utc_now
from tests.integration.waiting import until
from tests.patience import PATIENCE
from tests.receiver import Receiver

PER_SECOND = 150
SECONDS = 12
IN_ADVANCE = timedelta(seconds=3)
CREATE_EVERY = 0.1


async def test_each_delivery_arrives_once_and_none_early_while_every_process_is_restarted(
    stack: Stack, receiver: Receiver
) -> None:
    running = await stack.start("api", "scheduler", "scheduler", "dispatcher", "dispatcher")
    receiver.answer(200, delay=0.05)
    begin, gap = utc_now() + IN_ADVANCE, timedelta(seconds=1) / PER_SECOND
    planned = PER_SECOND * SECONDS
    await asyncio.to_thread(
        loading.events_due, stack.database_url, [receiver.url()], count=planned, due_at=begin, gap=gap
    )
    restarted = asyncio.Event()
    creating = asyncio.create_task(create_until(restarted, stack, receiver))
    await receiver.wait_for(1)

    for process in running:
        await restart(stack, process)
    restarted.set()
    created = await creating
    await until_all_is_written(stack)

    due = await due_times(stack)
    ids = [request.headers["webhook-id"] for request in receiver.requests]
    assert len(due) >= planned + len(created)
    assert created <= await events_of(stack)
    assert sorted(ids) == sorted(due)
    assert [request for request in receiver.requests if request.at < due[request.headers["webhook-id"]]] == []


async def restart(stack: Stack, process: Process) -> None:
    """Replace a process: workers after their successor is there, the API before, for it keeps the port."""
    if process.name != "api":
        await stack.start(process.name)
    process.signal(SIGTERM)
    assert await process.ended() == 0, process.text()
    if process.name == "api":
        await stack.start(process.name)


async def create_until(done: asyncio.Event, stack: Stack, receiver: Receiver) -> set[str]:
    """Create one event after the other over HTTP, each due soon; return those that were answered for."""
    created: set[str] = set()
    while not done.is_set():
        try:
            event = await stack.create(in_="PT1S", webhook_url=receiver.url())
            created.add(event["id"])
        except aiohttp.ClientError:  # while nobody listens; what came of a request that was cut off, the database tells
            pass
        await asyncio.sleep(CREATE_EVERY)
    return created


async def until_all_is_written(stack: Stack) -> None:
    async def written() -> bool:
        return await asyncio.to_thread(loading.remaining, stack.database_url) == 0

    await until(written, within=2 * PATIENCE)


async def events_of(stack: Stack) -> set[str]:
    """Return the events of which there is or was a delivery."""
    async with await psycopg.AsyncConnection.connect(stack.database_url) as conn:
        cursor = await conn.execute("SELECT event_id::text FROM all_occurrences")
        return {row[0] for row in await cursor.fetchall()}


async def due_times(stack: Stack) -> dict[str, float]:
    """Return when each delivery that there ever was, was due."""
    async with await psycopg.AsyncConnection.connect(stack.database_url) as conn:
        cursor = await conn.execute("SELECT id::text, extract(epoch FROM scheduled_at)::float8 FROM all_occurrences")
        return dict(await cursor.fetchall())
