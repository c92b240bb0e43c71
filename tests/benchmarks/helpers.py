"""Processes that help to measure: `python -m tests.benchmarks.<name>`, asked and answering in lines of JSON.

They have a process of their own so that what they cost is not hidden in what is measured.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from signal import SIGKILL
from typing import TypeVar

import msgspec

from deploy.local import processes

START_SECONDS = 20.0
_LONGEST_LINE = 256 * 1024 * 1024

Q = TypeVar("Q")
A = TypeVar("A")


class Helper:
    """One of them, while it runs."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def ask(self, question: object, answer: type[A], *, within: float) -> A:
        """Return the answer to a question; TimeoutError when it takes longer."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(question) + b"\n")
        return await self.hear(answer, within=within)

    async def hear(self, answer: type[A], *, within: float) -> A:
        """Return what it says next."""
        assert self._process.stdout is not None
        async with asyncio.timeout(within):
            line = await self._process.stdout.readline()
        assert line, "a helper of the benchmark has ended"
        return msgspec.json.decode(line, type=answer)

    async def end(self) -> None:
        """End it at once."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def running(name: str, *arguments: str) -> AsyncGenerator[Helper]:
    """Run a helper until the block ends."""
    command = processes.tethered([sys.executable, "-m", f"tests.benchmarks.{name}", *arguments], dies_by=SIGKILL)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, limit=_LONGEST_LINE, start_new_session=True
    )
    helper = Helper(process)
    try:
        yield helper
    finally:
        await helper.end()


async def answer_questions(kind: type[Q], answer: Callable[[Q], Awaitable[object]]) -> None:
    """Answer what is asked on standard input until it ends."""
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        say(await answer(msgspec.json.decode(line, type=kind)))


def say(fact: object) -> None:
    """Write one line to whoever started us."""
    sys.stdout.buffer.write(msgspec.json.encode(fact) + b"\n")
    sys.stdout.buffer.flush()
