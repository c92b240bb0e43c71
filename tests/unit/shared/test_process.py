from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from psycopg import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError

from shared import process
from tests.patience import PATIENCE

AT_ONCE = timedelta(0)
LONG = timedelta(hours=1)

Pass = Callable[[], Awaitable[timedelta]]


@pytest.fixture
def stop() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that has lost a server waits an hour, so that it is still waiting on a slow machine."""
    for name in ("_FIRST_PAUSE", "_LONGEST_PAUSE"):
        monkeypatch.setattr(process, name, LONG.total_seconds())


def lost(*errors: Exception) -> tuple[Pass, list[float]]:
    """Return a pass that fails with one error after another before it succeeds, and the times at which it ran."""
    waiting = list(errors)
    times: list[float] = []

    async def run_once() -> timedelta:
        times.append(asyncio.get_running_loop().time())
        if waiting:
            raise waiting.pop(0)
        return LONG

    return run_once, times


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)


class TestRepeat:
    async def test_passes_are_made_until_stop(self, stop: asyncio.Event) -> None:
        made: list[int] = []

        async def run_once() -> timedelta:
            made.append(len(made))
            if len(made) == 3:
                stop.set()
            return AT_ONCE

        await process.repeat("test", run_once, stop)

        assert made == [0, 1, 2]

    async def test_nothing_is_run_after_stop(self, stop: asyncio.Event) -> None:
        run_once, times = lost()
        stop.set()

        await process.repeat("test", run_once, stop)

        assert times == []

    @pytest.mark.parametrize(
        "error", [OperationalError("gone"), RedisConnectionError("gone"), ReadOnlyError("a replica by now")]
    )
    async def test_a_lost_connection_is_tried_again_after_a_pause(self, stop: asyncio.Event, error: Exception) -> None:
        run_once, times = lost(error)

        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            group.create_task(process.repeat("test", run_once, stop))
            await until(lambda: len(times) == 2)
            stop.set()

        assert times[1] - times[0] > 0.1

    async def test_a_loop_that_waits_ends_at_once_when_it_is_told_to(self, stop: asyncio.Event) -> None:
        run_once, times = lost()

        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            group.create_task(process.repeat("test", run_once, stop))
            await until(lambda: len(times) == 1)
            stop.set()

        assert len(times) == 1

    @pytest.mark.usefixtures("long_pauses")
    async def test_a_loop_that_waits_for_a_lost_server_ends_at_once_too(self, stop: asyncio.Event) -> None:
        run_once, times = lost(*[OperationalError("gone")] * 100)

        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            group.create_task(process.repeat("test", run_once, stop))
            await until(lambda: len(times) == 1)
            stop.set()

        assert len(times) == 1

    async def test_a_loop_that_waits_can_be_woken(self, stop: asyncio.Event) -> None:
        wake = asyncio.Event()
        made: list[int] = []

        async def run_once() -> timedelta:
            wake.clear()
            made.append(len(made))
            return LONG

        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            group.create_task(process.repeat("test", run_once, stop, wake=wake))
            await until(lambda: len(made) == 1)
            wake.set()
            await until(lambda: len(made) == 2)
            stop.set()

        assert len(made) == 2

    async def test_anything_else_ends_the_process(self, stop: asyncio.Event) -> None:
        run_once, times = lost(ValueError("our own bug"))

        with pytest.raises(ValueError, match="our own bug"):
            await process.repeat("test", run_once, stop)

        assert len(times) == 1


class TestWait:
    @pytest.mark.parametrize("which", [0, 1])
    @pytest.mark.parametrize("before", [True, False])
    async def test_either_event_ends_it(self, which: int, before: bool) -> None:
        events = asyncio.Event(), asyncio.Event()
        if before:
            events[which].set()
        else:
            asyncio.get_running_loop().call_soon(events[which].set)

        async with asyncio.timeout(PATIENCE):
            await process.wait(LONG, *events)

        assert [event.is_set() for event in events] == [which == 0, which == 1]

    async def test_it_ends_after_the_longest_time(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await process.wait(timedelta(milliseconds=10), asyncio.Event(), asyncio.Event())

    @pytest.mark.parametrize("longest", [AT_ONCE, -LONG])
    async def test_no_time_is_no_wait(self, longest: timedelta) -> None:
        async with asyncio.timeout(PATIENCE):
            await process.wait(longest, asyncio.Event())

    async def test_it_leaves_nothing_behind(self) -> None:
        before = asyncio.all_tasks()

        await process.wait(timedelta(milliseconds=1), asyncio.Event(), asyncio.Event())
        await asyncio.sleep(0)

        assert asyncio.all_tasks() <= before


class TestOnce:
    async def test_what_succeeds_is_run_once(self, stop: asyncio.Event) -> None:
        run, times = lost()

        async with asyncio.timeout(PATIENCE):
            await process.once("test", run, stop)

        assert len(times) == 1
        assert not stop.is_set()

    async def test_lost_connections_are_waited_out(self, stop: asyncio.Event) -> None:
        run, times = lost(OperationalError("gone"), RedisConnectionError("gone"))

        async with asyncio.timeout(PATIENCE):
            await process.once("test", run, stop)

        assert len(times) == 3
        assert times[1] - times[0] > 0.1

    @pytest.mark.usefixtures("long_pauses")
    async def test_it_returns_when_stop_comes_first(self, stop: asyncio.Event) -> None:
        run, times = lost(*[OperationalError("gone")] * 100)

        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            group.create_task(process.once("test", run, stop))
            await until(lambda: len(times) == 1)
            stop.set()

        assert len(times) == 1

    async def test_nothing_is_run_after_stop(self, stop: asyncio.Event) -> None:
        run, times = lost()
        stop.set()

        await process.once("test", run, stop)

        assert times == []

    async def test_anything_else_passes_through(self, stop: asyncio.Event) -> None:
        run, _ = lost(ValueError("our own bug"))

        with pytest.raises(ValueError, match="our own bug"):
            await process.once("test", run, stop)
