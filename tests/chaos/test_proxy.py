"""What a black hole does: nothing, until it is over."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncGenerator
from pathlib import Path
from signal import SIGUSR1, SIGUSR2

import pytest_asyncio

from deploy.local import processes
from tests.chaos.field import killed_at_the_end, spawn
from tests.servers import scratch_folder

SHORT = 0.2
PATIENCE = 20.0


async def echo(reader: StreamReader, writer: StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


@pytest_asyncio.fixture
async def folder() -> AsyncGenerator[Path]:
    with scratch_folder() as folder:
        async with await asyncio.start_unix_server(echo, folder / "server"):
            yield folder


async def test_a_silent_proxy_holds_everything_back_and_gives_it_when_it_goes_on(folder: Path) -> None:
    proxy = spawn("tests.chaos.proxy", str(folder / "proxy"), str(folder / "server"))
    with killed_at_the_end(proxy):
        assert await asyncio.to_thread(processes.until, (folder / "proxy").exists, seconds=PATIENCE)
        reader, writer = await asyncio.open_unix_connection(folder / "proxy")
        writer.write(b"a")
        assert await asyncio.wait_for(reader.readexactly(1), PATIENCE) == b"a"

        proxy.send_signal(SIGUSR1)
        async with asyncio.timeout(PATIENCE):
            while await answers(reader, writer):
                pass
        new_reader, new_writer = await asyncio.open_unix_connection(folder / "proxy")
        assert not await answers(new_reader, new_writer)
        assert not await answers(reader, writer)

        proxy.send_signal(SIGUSR2)
        assert await asyncio.wait_for(reader.readexactly(2), PATIENCE) == b"bb"
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
