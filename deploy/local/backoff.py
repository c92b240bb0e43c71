"""Decide when a process that died is started again. Never give up: the cause may go away by itself."""

from __future__ import annotations

FIRST = 0.5
CAP = 4.0
"""Seconds. With the time to notice a death it stays under the 5 s in which a process must be started again."""

STEADY = 30.0
"""A process that lived this many seconds had started well: its death is the first again."""


def delay_after(deaths: int) -> float:
    """Return how many seconds to wait after death number `deaths` in a row (the first is 1)."""
    return min(CAP, FIRST * 2 ** min(deaths - 1, 8))


def deaths_after(deaths: int, lived: float) -> int:
    """Return the number of this death in a row, after `deaths` earlier ones and a life of `lived` seconds."""
    return 1 if lived >= STEADY else deaths + 1
