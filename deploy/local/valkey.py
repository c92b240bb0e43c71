"""Run Valkey (or Redis) on a folder: no TCP, only a private socket.

What it holds is a hint: PostgreSQL can restore all of it, so losing its folder loses nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import ClassVar
from urllib.parse import quote

from deploy.local import finder
from deploy.local.server import Server


class Valkey(Server):
    """A Valkey of our own; append-only file, synced every second, when durable."""

    name: ClassVar[str] = "valkey"
    url_setting: ClassVar[str] = "QHRONOS_REDIS_URL"
    program_names: ClassVar[tuple[str, ...]] = ("valkey-server", "redis-server")
    socket_name: ClassVar[str] = "valkey.sock"
    stop_signals: ClassVar[tuple[tuple[Signals, float], ...]] = ((SIGTERM, 2.0),)
    abrupt_signal: ClassVar[Signals] = SIGKILL

    @property
    def socket(self) -> Path:
        """The only way in."""
        return self.sockets / self.socket_name

    def url(self, database: int = 0) -> str:
        """Return the URL of a database by its number, 0 to 15."""
        return f"unix://{quote(str(self.socket))}?db={database}"

    def is_ready(self) -> bool:
        """Tell whether it answers a PING (while it loads its file, it answers with an error)."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16) == b"+PONG\r\n"
        except OSError:
            return False

    def find(self) -> finder.Program:
        """Return a Valkey, or a Redis."""
        return finder.find_redis()

    def prepare(self, program: finder.Program) -> None:  # noqa: ARG002 - nothing depends on the program here
        """Remove the socket of a process that is gone, so that only the new one can answer."""
        self.socket.unlink(missing_ok=True)

    def command(self, program: Path) -> Sequence[str | Path]:
        """Return the command line; the marker stays in the title that the process gives itself."""
        options: dict[str, str | Path] = {
            "port": "0",
            "unixsocket": self.socket,
            "unixsocketperm": "700",
            "dir": self.folder,
            "save": "",
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "everysec",
            "daemonize": "no",
            "proc-title-template": f"{{title}} {self.marker}",
        }
        return [program, *(part for key, value in options.items() for part in (f"--{key}", value))]
