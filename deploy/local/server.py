"""One embedded server on one folder: started, watched and stopped the same way, whichever program it is.

At most one process serves a folder. What an earlier run left behind (a process, a pid file, a
socket) never blocks a start.
"""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from signal import Signals
from typing import IO, ClassVar, Self

import msgspec

from deploy.local import accounts, finder, folders, processes
from deploy.local.errors import ServerFailed

LOG_SIZE_MAX = 10 * 1024 * 1024
START_SECONDS = 60.0
LEFTOVER_SECONDS = 10.0

# The servers see nothing of our environment: no secret, and no PGDATA or PGPORT that would change what we ask for.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


class Server(ABC):
    """A server program that runs on `folder`, reached only through a Unix socket in a private folder.

    `durable=False` is for tests: faster, and a crash of the machine may lose everything.
    """

    name: ClassVar[str]
    program_names: ClassVar[tuple[str, ...]]
    """What the system calls its processes."""
    url_setting: ClassVar[str]
    """The setting that hands its URL to the services."""
    socket_name: ClassVar[str]
    stop_signals: ClassVar[tuple[tuple[Signals, float], ...]]
    """How to end it cleanly, more urgent each time, and how many seconds each signal gets."""
    abrupt_signal: ClassVar[Signals]

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder.resolve()
        self.durable = durable
        self.account = accounts.for_servers()
        self.sockets = folders.socket_folder(self.folder, self.socket_name)
        self.process: subprocess.Popen[bytes] | None = None
        self._program: finder.Program | None = None

    @abstractmethod
    def url(self) -> str:
        """Return the URL that clients use."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Tell whether the server that we started answers."""

    @abstractmethod
    def find(self) -> finder.Program:
        """Return the program to run."""

    @abstractmethod
    def prepare(self, program: finder.Program) -> None:
        """Make the data folder ready for `program`; nothing runs on it now."""

    @abstractmethod
    def command(self, program: Path) -> Sequence[str | Path]:
        """Return the command line, which carries `marker`."""

    @property
    def marker(self) -> str:
        """A word in the command line of every process that serves this folder."""
        return f"qhronos-{folders.digest(self.folder)}"

    @property
    def leader_marker(self) -> str:
        """What only the process that rules the others carries in its command line."""
        return self.marker

    @property
    def pid(self) -> int:
        """The server's process id."""
        if self.process is None:
            raise ServerFailed(f"{self.name} is not running")
        return self.process.pid

    @property
    def log(self) -> Path:
        """The file that the server writes its messages to."""
        return self.folder / "server.log"

    def start(self) -> None:
        """Return when the server answers."""
        self.launch()
        try:
            self.wait()
        except ServerFailed:
            self.stop()
            raise

    def launch(self) -> None:
        """Start the server without waiting until it answers."""
        self._make_folders()
        self._take_down_leftovers()
        program = self._reachable_program()
        self.prepare(program)
        with self.open_log() as log:
            self.process = self.spawn(self.command(program.path), output=log)

    def wait(self, *, given_up: Callable[[], bool] = lambda: False) -> None:
        """Return when the server answers or the wait is given up.

        Raise `ServerFailed` when the server has ended or takes too long.
        """
        is_over = processes.until(lambda: self.is_ready() or self.has_ended() or given_up(), seconds=START_SECONDS)
        if (not is_over or self.has_ended()) and not given_up():
            raise ServerFailed(self.failure())

    def stop(self, *, immediate: bool = False) -> None:
        """Return when no process of the server is left; `immediate` skips its clean ending, as a crash would."""
        if self.process is not None:
            signals = ((self.abrupt_signal, 5.0),) if immediate else self.stop_signals
            processes.end(self.process, signals)
            processes.sweep(self.marker, self.program_names, patience=5.0)
            self.process = None
        if self.sockets.parent != self.folder and self.sockets.is_dir():
            self.sockets.rmdir()

    def restart(self, *, immediate: bool = False) -> None:
        """Stop the server and return when it answers again."""
        self.stop(immediate=immediate)
        self.start()

    def has_ended(self) -> bool:
        """Tell whether the process that we started is gone."""
        return self.process is not None and self.process.poll() is not None

    def failure(self) -> str:
        """Return why the server does not run, as far as its log knows."""
        tail = self.log.read_text(errors="replace").splitlines()[-10:] if self.log.exists() else []
        return "\n  ".join([f"{self.name} did not start. The end of {self.log}:", *tail])

    def spawn(
        self, command: Sequence[str | Path], *, output: IO[bytes], stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Start `command` as the server's account, ending cleanly when we end."""
        tethered = processes.tethered(command, dies_by=self.stop_signals[0][0], account=self.account)
        return processes.spawn(tethered, env=ENVIRONMENT, folder=self.folder, output=output, stdin=stdin)

    def open_log(self) -> IO[bytes]:
        """Return the log, to append to; one that has grown too long is put aside first."""
        if self.log.exists() and self.log.stat().st_size > LOG_SIZE_MAX:
            self.log.rename(self.log.with_suffix(".log.1"))
        return self.log.open("ab")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _make_folders(self) -> None:
        if not accounts.can_reach(self.folder, self.account):
            raise ServerFailed(f"{self.folder} cannot be reached by `nobody`, who must run {self.name}")
        folders.made(self.folder, folders.PRIVATE, self.account)
        folders.private(self.sockets, self.account)

    def _take_down_leftovers(self) -> None:
        leaders = processes.carrying(self.leader_marker, self.program_names)
        processes.signal_all(leaders, self.stop_signals[0][0])
        processes.sweep(self.marker, self.program_names, patience=LEFTOVER_SECONDS)

    def _reachable_program(self) -> finder.Program:
        if self._program is None:
            program = self.find()
            if program.package is not None and not accounts.can_run(program.path, self.account):
                copy = folders.reachable_copy(program.path, program.package, finder.wheel_version(program.package))
                program = msgspec.structs.replace(program, path=copy)
            self._program = program
        return self._program
