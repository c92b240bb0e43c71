"""Notice that `make` wants the run to end.

It passes SIGTERM on to us, but not a SIGINT sent to it alone: it takes its handler away and waits for us.
Nor does it pass on its own death. Under any other parent, and without /proc, nothing is noticed.
"""

from __future__ import annotations

import os
from pathlib import Path
from signal import SIGINT, Signals

MAKES = ("make", "gmake")


class Parent:
    """The process that started us."""

    def __init__(self) -> None:
        self._pid = os.getppid()
        self._is_make = _read(self._pid, "comm").strip() in MAKES
        # A SIGINT that make ignores from the start (in the background of a script) says nothing.
        self._can_be_interrupted = self._is_make and catches(SIGINT, _read(self._pid, "status"))

    def wants_to_stop(self) -> bool:
        """Tell whether `make` was interrupted or is gone."""
        if not self._is_make:
            return False
        if os.getppid() != self._pid:
            return True
        return self._can_be_interrupted and not catches(SIGINT, _read(self._pid, "status"))


def catches(signal: Signals, status: str) -> bool:
    """Tell whether a process has a handler for `signal`, from its /proc/<pid>/status."""
    for line in status.splitlines():
        if line.startswith("SigCgt:"):
            return int(line.split()[1], 16) >> (signal - 1) & 1 == 1
    return False


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""
