"""Run the services as the local run does: each a process `python -m services.<name>` with its own environment."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Any, Self

import aiohttp

from deploy.local import processes, services, settings
from tests.patience import PATIENCE
from tests.ports import HOST, free_port

MASTER = "e2e-master-token-e2e"
SIGNING_KEY = "e2e-jwt-secret-e2e-jwt-secret-0123456789"
START_SECONDS = 120.0
STOP_SECONDS = 60.0

Json = dict[str, Any]


class Process:
    """One service that was started here; what it logs goes to `log`."""

    def __init__(self, name: str, environment: dict[str, str], log: Path, *, through: Sequence[str] = ()) -> None:
        self.name = name
        self.log = log
        self.ops_port = int(environment["QHRONOS_OPS_PORT"])
        modules = [*through, f"services.{name}"]
        command = processes.tethered([sys.executable, "-m", *modules], dies_by=SIGKILL)
        with log.open("ab") as output:
            self._process: subprocess.Popen[bytes] = processes.spawn(command, env=environment, output=output)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def ready(self, port: int | None = None) -> Self:
        """Return when the process says that it is ready, on its operations port or on another one."""
        is_over = await asyncio.to_thread(
            processes.until,
            lambda: services.readiness(HOST, port or self.ops_port)[0] or self._process.poll() is not None,
            seconds=START_SECONDS,
        )
        assert self._process.poll() is None, self.text()
        assert is_over, f"{self.name} is not ready after {START_SECONDS} s: {self.text()}"
        return self

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def signal(self, number: Signals) -> None:
        """Send a signal to this process and to no other."""
        self._process.send_signal(number)

    async def ended(self, within: float = STOP_SECONDS) -> int:
        """Return the exit code, negative for a signal, when the process has ended."""
        return await asyncio.to_thread(self._process.wait, within)

    def text(self) -> str:
        """Return what the process has logged."""
        return self.log.read_text()


class Stack:
    """Services that share one PostgreSQL and one Redis, and a client of their API."""

    def __init__(self, database_url: str, redis_url: str, folder: Path) -> None:
        self.database_url = database_url
        self._urls = {"QHRONOS_DATABASE_URL": database_url, "QHRONOS_REDIS_URL": redis_url}
        self._folder = folder
        self.settings: dict[str, str] = {}
        """Of the processes that are started from now on, beside those that all of them have."""
        self.api_port = free_port()
        self._session: aiohttp.ClientSession | None = None
        self.started: list[Process] = []

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            f"http://{HOST}:{self.api_port}",
            headers={"authorization": f"Bearer {MASTER}"},
            connector=aiohttp.TCPConnector(limit=32),
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.session.close()
        for process in self.started:
            process.signal(SIGTERM)
        for process in self.started:
            try:
                await process.ended()
            except subprocess.TimeoutExpired:
                process.signal(SIGKILL)
                await process.ended()
                raise

    @property
    def session(self) -> aiohttp.ClientSession:
        """The client's connections."""
        assert self._session is not None
        return self._session

    def launch(self, name: str, *, through: Sequence[str] = ()) -> Process:
        """Start a service without waiting for it, `through` a module with arguments that runs the one it is given."""
        values = {
            "QHRONOS_ENV": "test",
            "QHRONOS_API_PORT": str(self.api_port),
            "QHRONOS_OPS_PORT": str(free_port() - settings.SERVICES.index(name)),
            "QHRONOS_DATA_DIR": str(self._folder),
            "QHRONOS_RATE_LIMIT_BUCKET": "1000000",
            "QHRONOS_RATE_LIMIT_REFILL": "10000",
            **self.settings,
        }
        given = {"QHRONOS_MASTER_TOKEN": MASTER, "QHRONOS_JWT_SECRET": SIGNING_KEY, **self._urls}
        environment = settings.environment_of(name, values, settings.settings_from(values), given)
        process = Process(name, environment, self._folder / f"{name}-{len(self.started)}.log", through=through)
        self.started.append(process)
        return process

    async def start(self, *names: str) -> list[Process]:
        """Start services side by side and return them when all are ready."""
        launched = [self.launch(name) for name in names]
        for process in launched:
            await process.ready(self.api_port if process.name == "api" else None)
        return launched

    @asynccontextmanager
    async def request(self, method: str, path: str, **more: Any) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Yield what the API answers."""
        async with self.session.request(method, path, **more) as answer:
            yield answer

    async def create(self, **fields: object) -> Json:
        """Create an event; `in_` stands for `in`."""
        body = {"name": "Water the plants", **{name.removesuffix("_"): value for name, value in fields.items()}}
        async with self.request("POST", "/events", json=body) as answer:
            assert answer.status == 201, (answer.status, await answer.text())
            return await answer.json()

    async def read(self, path: str) -> Json:
        """Return what a path answers."""
        async with self.request("GET", path) as answer:
            assert answer.status == 200, (answer.status, await answer.text())
            return await answer.json()

    async def occurrence_of(self, event: Json) -> str:
        """Return the id of an event's only occurrence, which is not `upcoming` where the answer came after its time."""
        [occurrence] = (await self.read(f"/events/{event['id']}/occurrences"))["data"]
        return occurrence["id"]

    async def occurrence_as(self, occurrence_id: str, status: str, within: float = PATIENCE) -> Json:
        """Return an occurrence as soon as it has this status."""
        try:
            async with asyncio.timeout(within):
                while True:
                    found = await self.read(f"/occurrences/{occurrence_id}")
                    if found["status"] == status:
                        return found
                    await asyncio.sleep(0.02)
        except TimeoutError:
            found = await self.read(f"/occurrences/{occurrence_id}")
            raise AssertionError(f"not {status} within {within} s: {found}") from None
