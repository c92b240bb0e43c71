"""A destination that does not answer, with much to do for it: the others are on time, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import psycopg
import pytest_asyncio

from tests.benchmarks import loading
from tests.e2e.processes import Process, Stack
from tests.factories import HOUR, utc_now
from tests.integration.waiting import until
from tests.receiver import Answer, Receiver

OVERDUE = 5_000
PUT_OFF = 3_000
MOST_ANSWERED = 500
"""Those after them are not answered: none is attempted in vain until results say to leave the destination alone."""
HANGS = 3600.0
PRESENT = 150
GAP = timedelta(milliseconds=20)


@pytest_asyncio.fixture
async def dead() -> AsyncGenerator[Receiver]:
    """A destination that takes every request and never answers, until the test is over."""
    over = asyncio.Event()

    async def hang(_: object) -> Answer:
        await over.wait()
        return Answer(status=503)

    async with Receiver() as receiver:
        receiver.answer_with(hang)
        yield receiver
        over.set()


async def test_five_thousand_overdue_deliveries_to_a_dead_destination_delay_no_other(
    stack: Stack, receiver: Receiver, dead: Receiver
) -> None:
    await load(stack, dead, count=OVERDUE, due_in=-HOUR, gap=timedelta(0))
    await let_attempts_outlast_patience(stack)
    [dispatcher, _] = await stack.start("dispatcher", "scheduler")
    await dead.wait_for(1)

    begin_in = timedelta(seconds=3)
    await load(stack, receiver, count=PRESENT, due_in=begin_in, gap=GAP)
    due = await due_times(stack)
    await receiver.wait_for(PRESENT)  # who had to wait for the dead one would come later than that
    await until_live_are(stack, OVERDUE)

    late = [request.at - due[request.headers["webhook-id"]] for request in receiver.requests]
    assert len(late) == PRESENT
    assert min(late) >= 0
    await dispatcher.ready()
    assert has_not_failed(dispatcher)


async def test_deliveries_to_a_blocked_destination_are_put_off_and_all_still_there(
    stack: Stack, receiver: Receiver
) -> None:
    receiver.answer_with(lambda _: Answer(status=500, delay=0 if len(receiver.requests) <= MOST_ANSWERED else HANGS))
    await load(stack, receiver, count=OVERDUE, due_in=-HOUR, gap=timedelta(0))
    [dispatcher, _] = await stack.start("dispatcher", "scheduler")

    await until_put_off(stack, at_least=PUT_OFF)

    assert await live(stack) == OVERDUE
    assert await failures(stack) > 0
    assert has_not_failed(dispatcher)


def has_not_failed(dispatcher: Process) -> bool:
    return not dispatcher.has_ended and "Traceback" not in dispatcher.text()


async def load(stack: Stack, to: Receiver, *, count: int, due_in: timedelta, gap: timedelta) -> None:
    url, urls, due_at = stack.database_url, [to.url()], utc_now() + due_in
    await asyncio.to_thread(loading.events_due, url, urls, count=count, due_at=due_at, gap=gap)


async def let_attempts_outlast_patience(stack: Stack) -> None:
    """Give each event that there is the longest time-out."""
    async with await psycopg.AsyncConnection.connect(stack.database_url) as conn:
        await conn.execute('UPDATE event_versions SET content = (content::jsonb || \'{"timeout": "PT60S"}\')::json')


async def due_times(stack: Stack) -> dict[str, float]:
    async with await psycopg.AsyncConnection.connect(stack.database_url) as conn:
        cursor = await conn.execute("SELECT id::text, extract(epoch FROM scheduled_at)::float8 FROM all_occurrences")
        return dict(await cursor.fetchall())


async def live(stack: Stack) -> int:
    return await asyncio.to_thread(loading.remaining, stack.database_url)


async def until_live_are(stack: Stack, number: int) -> None:
    async def as_many() -> bool:
        return await live(stack) == number

    await until(as_many)


async def until_put_off(stack: Stack, *, at_least: int) -> None:
    """Return when so many deliveries that were never attempted are to be, after the time they were planned for."""

    async def put_off() -> bool:
        return await count(stack, "attempts = 0 AND due_at > scheduled_at") >= at_least

    await until(put_off)


async def failures(stack: Stack) -> int:
    return await count(stack, "attempts > 0")


async def count(stack: Stack, condition: str) -> int:
    async with await psycopg.AsyncConnection.connect(stack.database_url) as conn:
        cursor = await conn.execute(f"SELECT count(*) FROM deliveries WHERE {condition}".encode())
        [row] = await cursor.fetchall()
        return int(row[0])
