"""Start and end child processes, and find those that an earlier run left behind.

A child never outlives us (see `tether`), and never receives the terminal's Ctrl-C: each has a session of its own.
Spawn from the main thread: Linux ends the child when the thread that made it ends.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, Signals
from typing import IO

from deploy.local.accounts import Account

TETHER = Path(__file__).with_name("tether.py")
STEP = 0.01


def tethered(command: Sequence[str | Path], *, dies_by: Signals, account: Account | None = None) -> list[str | Path]:
    """Return the command line that runs `command` as `account` and sends it `dies_by` when we end without ending it."""
    who = f"{account.uid}:{account.gid}" if account else "-"
    return [sys.executable, "-I", "-S", TETHER, str(os.getpid()), str(int(dies_by)), who, *command]


def spawn(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    folder: Path | None = None,
    output: IO[bytes] | None = None,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a tethered command. Without an `output` it shares ours."""
    return subprocess.Popen(  # noqa: S603 - our own programs
        command, cwd=folder, env=env, stdin=stdin, stdout=output, stderr=output, start_new_session=True
    )


def until(happened: Callable[[], bool], *, seconds: float) -> bool:
    """Wait until `happened()`, at most so long; return whether it did."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(STEP)
    return True


def end(process: subprocess.Popen[bytes], signals: Sequence[tuple[Signals, float]]) -> int:
    """End `process` with each signal in turn, giving each its seconds, at last with SIGKILL; return the exit code."""
    for signal, patience in signals:
        process.send_signal(signal)
        try:
            return process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    return process.wait()


def carrying(marker: str, names: Sequence[str]) -> list[int]:
    """Return the pids of the programs called one of `names` that have `marker` in their command line or title.

    Only Linux shows them; elsewhere none is found.
    """
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _carries(entry, marker, names)]


def _carries(entry: Path, marker: str, names: Sequence[str]) -> bool:
    try:
        name = (entry / "comm").read_text().rstrip("\n")
        return name in names and marker.encode() in (entry / "cmdline").read_bytes()
    except OSError:  # it has just ended
        return False


def sweep(marker: str, names: Sequence[str], *, patience: float) -> None:
    """Return when no process of `carrying(marker, names)` is left, killing those that outstay `patience` seconds."""
    if not until(lambda: not carrying(marker, names), seconds=patience):
        signal_all(carrying(marker, names), SIGKILL)
        until(lambda: not carrying(marker, names), seconds=patience)


def signal_all(pids: Sequence[int], signal: Signals) -> None:
    """Send `signal` to each of `pids` that still runs."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal)
