"""Hold the times of day that a rule permits, as positions in an ordered list that is never written out.

Hours x minutes x seconds may be 86 400 times; finding one of them takes no more than a few comparisons.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class Times(NamedTuple):
    """Every combination of the hours, minutes and seconds, each sorted; times are seconds since midnight."""

    hours: Sequence[int]
    minutes: Sequence[int]
    seconds: Sequence[int]

    @property
    def size(self) -> int:
        """How many times of day there are."""
        return len(self.hours) * len(self.minutes) * len(self.seconds)

    def at(self, position: int) -> int:
        """Return the time at a position."""
        rest, second = divmod(position, len(self.seconds))
        hour, minute = divmod(rest, len(self.minutes))
        return self.hours[hour] * 3600 + self.minutes[minute] * 60 + self.seconds[second]

    def position(self, time: int) -> int:
        """Return how many times come before `time`: the position of the first one from it on."""
        # 24:00 is after the last of them.
        hour, minute, second = time // 3600, time // 60 % 60, time % 60
        at = bisect_left(self.hours, hour)
        found = at * len(self.minutes) * len(self.seconds)
        if at == len(self.hours) or self.hours[at] != hour:
            return found
        at = bisect_left(self.minutes, minute)
        found += at * len(self.seconds)
        if at == len(self.minutes) or self.minutes[at] != minute:
            return found
        return found + bisect_left(self.seconds, second)

    def closest(self) -> int:
        """Return the least distance in seconds between two times, of one day or of two days in a row."""
        return min(
            _least(self.seconds),
            _least(self.minutes) * 60 + self.seconds[0] - self.seconds[-1],
            _least(self.hours) * 3600 + self.at(0) % 3600 - (self.minutes[-1] * 60 + self.seconds[-1]),
            86_400 + self.at(0) - self.at(self.size - 1),
        )

    def mask(self) -> bytes:
        """Return one byte per second of the day: 1 where the time is permitted."""
        minute = bytes(second in self.seconds for second in range(60))
        hour = b"".join(minute if at in self.minutes else bytes(60) for at in range(60))
        return b"".join(hour if at in self.hours else bytes(3600) for at in range(24))


def _least(values: Sequence[int]) -> int:
    """Return the least step between neighbours; with a single value, far more than a day."""
    return min((after - before for before, after in pairwise(values)), default=86_400)


def chosen(positions: tuple[int, ...], size: int) -> list[int]:
    """Return the places, from 0, that BYSETPOS chooses of a set of `size`."""
    return sorted({p - 1 if p > 0 else size + p for p in positions if abs(p) <= size})
