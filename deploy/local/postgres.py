"""Run PostgreSQL on a folder: no TCP, a superuser and a database called `qhronos`, no password behind a private socket.

The cluster is made beside its final place and renamed, so a folder either holds a whole one or none.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from signal import SIGINT, SIGQUIT, Signals
from typing import ClassVar
from urllib.parse import quote

from deploy.local import finder
from deploy.local.errors import ServerFailed
from deploy.local.server import Server

PORT = 5432
ROLE = "qhronos"
DATABASE = "qhronos"

# Line 8 of postmaster.pid, which pg_ctl reads for the same purpose.
STATE_LINE = 7

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
FOR_TESTS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres(Server):
    """A PostgreSQL of our own."""

    name: ClassVar[str] = "postgres"
    url_setting: ClassVar[str] = "QHRONOS_DATABASE_URL"
    program_names: ClassVar[tuple[str, ...]] = ("postgres",)
    socket_name: ClassVar[str] = f".s.PGSQL.{PORT}"
    # Fast shutdown, which does not wait for clients; then immediate, which recovers at the next start.
    stop_signals: ClassVar[tuple[tuple[Signals, float], ...]] = ((SIGINT, 5.0), (SIGQUIT, 1.0))
    abrupt_signal: ClassVar[Signals] = SIGQUIT

    @property
    def data(self) -> Path:
        """The cluster's folder (PGDATA)."""
        return self.folder / "data"

    @property
    def leader_marker(self) -> str:
        """The postmaster's own; its children show their title instead of a command line."""
        return f"cluster_name={self.marker}"

    def url(self, database: str = DATABASE) -> str:
        """Return the URL of `database`."""
        return f"postgresql://{ROLE}@/{quote(database)}?host={quote(str(self.sockets), safe='')}&port={PORT}"

    def is_ready(self) -> bool:
        """Tell whether our postmaster says that it takes connections."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return (
            lines[:1] == [str(self.pid)] and lines[STATE_LINE : STATE_LINE + 1] == ["ready   "] and not self.has_ended()
        )

    def find(self) -> finder.Program:
        """Return a PostgreSQL that can open the cluster, or any when there is none yet."""
        version = self.data / "PG_VERSION"
        major = int(version.read_text()) if version.exists() else None
        return finder.find_postgres(data_major=major)

    def prepare(self, program: finder.Program) -> None:
        """Make the cluster when there is none; forget a pid file whose process is gone."""
        if not self.data.exists():
            self._make_cluster(program)
        if Path("/proc/self").exists():  # else we cannot know that nobody runs on it: PostgreSQL decides
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            (self.sockets / f"{self.socket_name}.lock").unlink(missing_ok=True)

    def command(self, program: Path) -> Sequence[str | Path]:
        """Return the postmaster's command line; all settings stand in it, so a newer Qhronos brings its own."""
        settings = {
            **SETTINGS,
            **({} if self.durable else FOR_TESTS),
            "unix_socket_directories": str(self.sockets),
            "cluster_name": self.marker,
        }
        return [
            program,
            "-D",
            self.data,
            *(part for key, value in settings.items() for part in ("-c", f"{key}={value}")),
        ]

    def _make_cluster(self, program: finder.Program) -> None:
        unfinished = self.folder / "data.unfinished"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        initdb = [program.path.with_name("initdb"), "-D", unfinished, "-U", ROLE, "--auth=trust", "--encoding=UTF8"]
        single = [program.path, "--single", "-D", unfinished, "-c", "exit_on_error=on"]
        self._run([*initdb, *locale_options(program.major), *([] if self.durable else ["--no-sync"])])
        self._run(
            [*single, *([] if self.durable else ["-c", "fsync=off"]), "postgres"], sql=f"CREATE DATABASE {DATABASE};\n"
        )
        unfinished.rename(self.data)

    def _run(self, command: Sequence[str | Path], *, sql: str = "") -> None:
        with self.open_log() as log:
            process = self.spawn(command, output=log, stdin=subprocess.PIPE)
            process.communicate(sql.encode())
        if process.returncode != 0:
            raise ServerFailed(self.failure())


def locale_options(major: int) -> Sequence[str]:
    """Return what makes initdb compare by code point and know the case of every letter, the same on every system."""
    if major < 17:
        return ["--locale=C.UTF-8"]
    return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
