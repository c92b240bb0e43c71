"""What a black hole does: nothing, until it is over."""

from __future__ import annotations

import asyncio
import contextlib
import os
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGUSR1, SIGUSR2, Signals

import pytest_asyncio

from deploy.local import processes
from tests.chaos.field import killed_at_the_end, spawn
from tests.chaos.proxy import Proxy
from tests.integration.waiting import until
from tests.patience import PATIENCE
from tests.servers import scratch_folder

SHORT = 0.2


async def echo(reader: StreamReader, writer: StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


@pytest_asyncio.fixture
async def folder() -> AsyncGenerator[Path]:
    with scratch_folder() as folder:
        async with await asyncio.start_unix_server(echo, folder / "server"):
            yield folder


@asynccontextmanager
async def serving(folder: Path) -> AsyncGenerator[Proxy]:
    """Run a proxy in this process, where it shows when it has heard a signal."""
    proxy, loop = Proxy(str(folder / "server")), asyncio.get_running_loop()
    task = asyncio.create_task(proxy.serve(str(folder / "proxy")))
    try:
        assert await asyncio.to_thread(processes.until, (folder / "proxy").exists, seconds=PATIENCE)
        yield proxy
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        for number in (SIGUSR1, SIGUSR2):
            loop.remove_signal_handler(number)


async def tell(proxy: Proxy, number: Signals, *, is_open: bool) -> None:
    """Send this process a signal, and return when the proxy has heard it."""

    async def has_heard() -> bool:
        return proxy.open.is_set() == is_open

    os.kill(os.getpid(), number)
    await until(has_heard)


async def test_a_silent_proxy_holds_everything_back_and_gives_it_when_it_goes_on(folder: Path) -> None:
    async with serving(folder) as proxy:
        reader, writer = await asyncio.open_unix_connection(folder / "proxy")
        writer.write(b"a")
        assert await asyncio.wait_for(reader.readexactly(1), PATIENCE) == b"a"

        await tell(proxy, SIGUSR1, is_open=False)
        new_reader, new_writer = await asyncio.open_unix_connection(folder / "proxy")
        assert not await answers(new_reader, new_writer)
        assert not await answers(reader, writer)

        await tell(proxy, SIGUSR2, is_open=True)
        assert await asyncio.wait_for(reader.readexactly(1), PATIENCE) == b"b"
        assert await asyncio.wait_for(new_reader.readexactly(1), PATIENCE) == b"b"
        for each in (writer, new_writer):
            each.close()
            await each.wait_closed()


async def answers(reader: StreamReader, writer: StreamWriter) -> bool:
    writer.write(b"b")
    try:
        async with asyncio.timeout(SHORT):
            assert await reader.read(1) == b"b"
    except TimeoutError:
        return False
    return True


async def test_a_proxy_before_a_server_that_is_down_ends_the_connection(folder: Path) -> None:
    proxy = spawn("tests.chaos.proxy", str(folder / "proxy"), str(folder / "nobody"))
    with killed_at_the_end(proxy):
        assert await asyncio.to_thread(processes.until, (folder / "proxy").exists, seconds=PATIENCE)
        reader, writer = await asyncio.open_unix_connection(folder / "proxy")

        assert await asyncio.wait_for(reader.read(1), PATIENCE) == b""
        writer.close()
        await writer.wait_closed()
