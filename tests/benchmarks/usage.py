"""What processes cost, from /proc: processor time and memory of each with all that it started. Linux only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

_TICKS = os.sysconf("SC_CLK_TCK")


class Memory(msgspec.Struct, frozen=True):
    """In MB, of all processes together: resident now, and the fair share of it (PSS, pages divided by their users).

    `rss_mb` counts pages that processes share once for each; `pss_mb` is 0 where the system does not tell.
    """

    rss_mb: float
    pss_mb: float


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process, of those that it has waited for, and of those that still run."""
    own = _stat(pid)
    return sum(own) / _TICKS + sum(cpu_seconds(child) for child in _children(pid)) if own else 0.0


def memory(pid: int) -> Memory:
    """Return the memory of a process and of those that it started."""
    pids = [pid, *_children(pid)]
    return Memory(
        sum(_kilobytes(pid, "status", "VmRSS:") for pid in pids) / 1024,
        sum(_kilobytes(pid, "smaps_rollup", "Pss:") for pid in pids) / 1024,
    )


def _stat(pid: int) -> Sequence[int]:
    """Return utime, stime, cutime and cstime in ticks; nothing when the process is gone (proc_pid_stat(5))."""
    text = _read(pid, "stat")
    return [int(ticks) for ticks in text[text.rindex(")") + 2 :].split()[11:15]] if text else []


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in _text(task).split()]


def _kilobytes(pid: int, file: str, key: str) -> int:
    for line in _read(pid, file).splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    return 0


def _read(pid: int, file: str) -> str:
    return _text(Path(f"/proc/{pid}/{file}"))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
