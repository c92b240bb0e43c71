"""Say what the run does, on an output that may go away (a pipe, a terminal) without harming the run."""

from __future__ import annotations

import contextlib
import os
import select
import sys


def say(text: str) -> None:
    """Write a line for the person at the terminal."""
    heal()
    with contextlib.suppress(OSError):  # it has closed since
        os.write(sys.stdout.fileno(), f"{text}\n".encode())


def refuse(error: Exception) -> int:
    """Say why it cannot run, and return the exit code."""
    if isinstance(error, PermissionError):
        say(f"cannot run: no permission for {error.filename}; was it made by another user, such as root?")
    else:
        say(f"cannot run: {error}")
    return 1


def heal() -> None:
    """Point standard output and error to nowhere when their reader has gone: children started later can write again."""
    for descriptor in (1, 2):
        if _reader_has_gone(descriptor):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)


def _reader_has_gone(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))
