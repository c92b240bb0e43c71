"""Where a run takes place: servers, the proxies before them, and the services that reach them through those only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from signal import SIGKILL, SIGUSR1, SIGUSR2
from typing import LiteralString
from urllib.parse import quote

import psycopg
from redis import Redis

from deploy.local import processes
from deploy.local.postgres import Postgres
from deploy.local.server import Server
from deploy.local.valkey import Valkey
from tests.chaos import receiver
from tests.chaos.fleet import Fleet
from tests.chaos.ledger import Ledger
from tests.e2e.processes import Stack
from tests.ports import free_port
from tests.servers import migrate

START_SECONDS = 60.0

BEGUN: LiteralString = "SELECT occurrence_id::text FROM deliveries WHERE begun"
UNFINISHED: LiteralString = "SELECT count(*) FROM deliveries"
RECORDS: LiteralString = "SELECT status, count(*) FROM occurrences GROUP BY status"
FATES: LiteralString = """
    SELECT id::text, concat_ws(' ', status, status_reason, 'attempts', attempt_count)
      FROM all_occurrences
     WHERE id::text = ANY (%(ids)s)
"""


class Front:
    """A proxy's process, and the socket that stands for its server's."""

    def __init__(self, server: Server, folder: Path) -> None:
        folder.mkdir()
        self.socket = folder / server.socket_name
        self.process = spawn("tests.chaos.proxy", str(self.socket), str(server.sockets / server.socket_name))
        assert processes.until(self.socket.exists, seconds=START_SECONDS)

    def silence(self) -> None:
        """Let no byte through from now on."""
        self.process.send_signal(SIGUSR1)

    def resume(self) -> None:
        """Let everything through again."""
        self.process.send_signal(SIGUSR2)


class Field:
    """All that a fault can reach."""

    def __init__(self, *, folder: Path, postgres: Postgres, valkey: Valkey, random: Random) -> None:
        self.postgres = postgres
        self.valkey = valkey
        self.random = random
        self.before_postgres = Front(postgres, folder / "before-postgres")
        self.before_valkey = Front(valkey, folder / "before-valkey")
        self.ledger = Ledger(folder / "ledger")
        self.ledger.path.touch()
        port = free_port()
        self.receiver_url = f"http://{receiver.HOST}:{port}"
        self.receiver = spawn("tests.chaos.receiver", str(port), str(self.ledger.path))
        self.fleet = Fleet(
            Stack(
                moved(postgres.url(), postgres.sockets, self.before_postgres.socket.parent),
                moved(valkey.url(), valkey.socket, self.before_valkey.socket),
                folder,
            )
        )

    def redis(self) -> Redis:
        """Return a client of the server itself."""
        return Redis.from_url(self.valkey.url())  # pyright: ignore[reportUnknownMemberType]

    def begun(self) -> frozenset[str]:
        """Return the occurrences whose request may be on the wire."""
        with psycopg.connect(self.postgres.url()) as conn:
            return frozenset(row[0] for row in conn.execute(BEGUN))

    def unfinished(self) -> int:
        """Return how many deliveries are still to be made."""
        with psycopg.connect(self.postgres.url()) as conn:
            [(count,)] = conn.execute(UNFINISHED).fetchall()
            return count

    def records(self) -> dict[str, int]:
        """Return the numbers of finished occurrences by status."""
        with psycopg.connect(self.postgres.url()) as conn:
            return dict(conn.execute(RECORDS).fetchall())

    def fates(self, ids: list[str]) -> dict[str, str]:
        """Return what the database knows of occurrences; one that is not in it has no entry."""
        with psycopg.connect(self.postgres.url()) as conn:
            return dict(conn.execute(FATES, {"ids": ids}).fetchall())


def moved(url: str, server: Path, front: Path) -> str:
    """Return a server's URL with the proxy's path in it, which is quoted as the server's own is."""
    for safe in ("", "/"):
        path = quote(str(server), safe=safe)
        if path in url:
            return url.replace(path, quote(str(front), safe=safe))
    raise ValueError(f"{server} is not in {url}")


def spawn(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a part of the harness in a process of its own."""
    command = processes.tethered([sys.executable, "-m", module, *arguments], dies_by=SIGKILL)
    return processes.spawn(command, env=os.environ)


@contextmanager
def killed_at_the_end(process: subprocess.Popen[bytes]) -> Generator[None]:
    """End a part of the harness with the block."""
    try:
        yield
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def laid_out(folder: Path, random: Random) -> AsyncGenerator[Field]:
    """Yield a field on which everything runs and is ready.

    PostgreSQL is durable: without it a crash of the server may take back what it had committed.
    """
    with ExitStack() as stack:
        postgres = stack.enter_context(Postgres(folder / "postgres"))
        valkey = stack.enter_context(Valkey(folder / "valkey"))
        migrate(postgres.url())
        field = Field(folder=folder, postgres=postgres, valkey=valkey, random=random)
        for part in (field.before_postgres.process, field.before_valkey.process, field.receiver):
            stack.enter_context(killed_at_the_end(part))
        async with field.fleet.stack, field.fleet:
            yield field
