"""The services of a run, each started again half a second after its death, as the local run does it."""

from __future__ import annotations

import asyncio
from random import Random
from signal import SIGKILL
from typing import Self

from tests.e2e.processes import Process, Stack

SERVICES = ("api", "scheduler", "scheduler", "dispatcher", "dispatcher")
RESTART_SECONDS = 0.5
LOOK_SECONDS = 0.02


class Member:
    """One place in the fleet, and the process that fills it now."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.is_doomed = False
        """Whether its death is ours."""


class Fleet:
    """One API, two schedulers, two dispatchers; ready when the block begins, and kept alive until it ends."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.crashes: list[str] = []
        self._members: list[Member] = []
        self._keepers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._members = [Member(process) for process in await self.stack.start(*SERVICES)]
        self._keepers = [asyncio.create_task(self._keep(member)) for member in self._members]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.wait(self._keepers)

    def pick(self, service: str, random: Random) -> Member:
        """Return one of those that do this service."""
        return random.choice([member for member in self._members if member.process.name == service])

    def kill(self, member: Member) -> None:
        """End a process as a crash would."""
        member.is_doomed = True
        member.process.signal(SIGKILL)

    async def restored(self, member: Member) -> None:
        """Return when the process after a killed one is ready."""
        while member.is_doomed:  # noqa: ASYNC110 - until its keeper has seen the death
            await asyncio.sleep(LOOK_SECONDS)
        await self.ready(member.process)

    async def ready(self, process: Process) -> None:
        """Return when a process says that it is ready."""
        await process.ready(self.stack.api_port if process.name == "api" else None)

    async def _keep(self, member: Member) -> None:
        """Start again whatever dies in this place, until cancelled."""
        while True:
            if member.process.has_ended:
                if not member.is_doomed:
                    code = await member.process.ended()
                    self.crashes.append(f"{member.process.name} ended with {code}, see {member.process.log}")
                await asyncio.sleep(RESTART_SECONDS)
                member.process = self.stack.launch(member.process.name)
                member.is_doomed = False
            await asyncio.sleep(LOOK_SECONDS)
