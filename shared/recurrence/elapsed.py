"""Step HOURLY and finer rules in elapsed time, with the BYxxx parts looking at the local clock.

A rule is a row of windows, one every INTERVAL units from the start's instant. Without a finer BYxxx part a window is
the single second of the step; with one it is the whole unit, and holds every second whose local time is permitted. None
is lost and none is doubled when the clock changes.

Under one offset the windows meet the same times of day over and over, so which of them can hold anything is a short row
of bytes: the next one is found by a search in it, however rare it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from math import gcd
from typing import NamedTuple

from shared.recurrence.days import days_of
from shared.recurrence.rule import Freq, Rule
from shared.recurrence.times import Times, chosen
from shared.recurrence.zones import DAY, END, EPOCH, local_of, span_at

_UNITS = {Freq.HOURLY: 3_600, Freq.MINUTELY: 60, Freq.SECONDLY: 1}
PATIENCE = 10_000
"""How many fruitless looks end a search. Only a rule made to miss its own filters for centuries needs as many."""
_SPAN_COST = 20
"""A look at another span of the zone's offsets is dearer than one at another window."""


class Run(NamedTuple):
    """Permitted times of one local day, by their places among all; `midnight` is where that day begins."""

    midnight: int
    places: range


class Look(NamedTuple):
    """What one look found, the number of the window to look at next, and what it cost."""

    found: Iterable[int]
    following: int
    cost: int


class Elapsed:
    """The instants of a rule from its start on."""

    def __init__(self, rule: Rule, start_at: int, zone: str) -> None:
        unit, local = _UNITS[rule.freq], local_of(start_at, zone)
        start = EPOCH + timedelta(seconds=local)
        whole = bool(rule.by_second) if rule.freq is Freq.MINUTELY else bool(rule.by_minute or rule.by_second)
        self._width = unit if whole else 1
        self._stride = rule.interval * unit
        self._origin = start_at - local % self._width
        self._zone = zone
        self._times = _times_of(rule, start, whole=self._width > 1)
        self._any_time = self._times.size == DAY
        self._days = days_of(rule, start)
        self._positions = rule.by_set_pos
        self._most = _most_in(self._times, self._width)

    @property
    def unfiltered(self) -> bool:
        """Say whether every step is an occurrence, which makes the rule plain arithmetic."""
        return self._width == 1 and self._any_time and self._days.all and not self._positions

    @property
    def closest(self) -> int:
        """No two instants are closer than this, in seconds, unless the clock was changed between them."""
        return max(self._stride if self._width == 1 else 1, self._times.closest())

    def nth(self, count: int) -> int:
        """Return the instant of an unfiltered rule's occurrence number `count` (the first is 1)."""
        return self._origin + (count - 1) * self._stride

    def number_by(self, instant: int) -> int:
        """Return how many occurrences an unfiltered rule has up to an instant, itself included."""
        return (instant - self._origin) // self._stride + 1

    def walk(self, instant: int) -> Iterator[int]:
        """Yield the instants from `instant` on; the end comes when none is left, or none for centuries."""
        at = max(0, self._first_reaching(instant))
        if self.unfiltered:
            yield from range(self.nth(at + 1), END, self._stride)
            return
        if self._positions and not chosen(self._positions, self._most):
            return
        patience = PATIENCE
        while patience > 0 and self._opening(at) < END:
            look = self._look(at)
            at, patience = look.following, patience - look.cost
            for second in look.found:
                patience = PATIENCE
                if second >= instant:
                    yield second

    def _look(self, at: int) -> Look:
        """Look at the first window from number `at` on that may hold something."""
        span = span_at(self._zone, self._opening(at))
        number = self._next_meeting(at, span.offset)
        opening = self._opening(number)
        closing = opening + self._width
        if closing > span.end:
            return self._look_across(at, span.end)
        day = self._days.following((opening + span.offset) // DAY)
        if day is None:
            return Look([], self._first_reaching(END), 1)
        if day * DAY >= closing + span.offset:
            return Look([], self._first_reaching(min(day * DAY - span.offset, span.end)), 1)
        if self._width == 1:
            return Look([opening], number + 1, 1)
        return Look(self._chosen(self._runs(opening, closing, span.offset)), number + 1, 1)

    def _look_across(self, at: int, end: int) -> Look:
        """Look at the window that lies across the end of a span, if one does; then go on behind it."""
        number = max(at, self._first_reaching(end))
        opening, closing = self._opening(number), self._opening(number) + self._width
        if opening >= end:
            return Look([], number, _SPAN_COST)
        before, after = span_at(self._zone, opening).offset, span_at(self._zone, end).offset
        runs = self._runs(opening, end, before) + self._runs(end, closing, after)
        return Look(self._chosen(runs), number + 1, _SPAN_COST)

    def _opening(self, number: int) -> int:
        return self._origin + number * self._stride

    def _first_reaching(self, instant: int) -> int:
        """Return the number of the first window whose last second is not before an instant."""
        return -((self._origin + self._width - 1 - instant) // self._stride)

    def _next_meeting(self, at: int, offset: int) -> int:
        """Return the first window from `at` on that meets a permitted time of day under an offset."""
        if self._any_time:
            return at
        row = _meetings(self._times, (self._origin + offset) % DAY, self._stride, self._width)
        here = at % len(row)
        ahead = row.find(1, here)
        if ahead >= 0:
            return at + ahead - here
        again = row.find(1)
        return at + len(row) - here + again if again >= 0 else self._first_reaching(END)

    def _runs(self, start: int, end: int, offset: int) -> list[Run]:
        """Return the permitted seconds in [start, end), under one offset, as one run for each local day."""
        runs: list[Run] = []
        for today in range((start + offset) // DAY, (end - 1 + offset) // DAY + 1):
            if self._days.following(today) == today:
                midnight = today * DAY - offset
                low = self._times.position(max(start - midnight, 0))
                high = self._times.position(min(end - midnight, DAY))
                runs.append(Run(midnight, range(low, high)))
        return runs

    def _chosen(self, runs: list[Run]) -> Iterator[int]:
        """Yield the instants of the runs, or those that BYSETPOS chooses of all of them."""
        if not self._positions:
            for run in runs:
                yield from (run.midnight + self._times.at(place) for place in run.places)
            return
        number, passed = 0, 0
        for at in chosen(self._positions, sum(len(run.places) for run in runs)):
            while at - passed >= len(runs[number].places):
                passed += len(runs[number].places)
                number += 1
            yield runs[number].midnight + self._times.at(runs[number].places[at - passed])


def _times_of(rule: Rule, start: datetime, *, whole: bool) -> Times:
    """Return the permitted times of day: an absent part permits all, or in whole windows the start's."""
    minutes = rule.by_minute or ((start.minute,) if whole and rule.freq is Freq.HOURLY else range(60))
    seconds = rule.by_second or ((start.second,) if whole else range(60))
    return Times(rule.by_hour or range(24), minutes, seconds)


def _most_in(times: Times, width: int) -> int:
    """Return how many permitted times a window can hold at most."""
    return {3_600: len(times.minutes) * len(times.seconds), 60: len(times.seconds)}.get(width, 1)


@lru_cache(maxsize=32)
def _mask(times: Times) -> bytes:
    """Return two days of seconds, as a window may lie across midnight."""
    return times.mask() * 2


@lru_cache(maxsize=64)
def _meetings(times: Times, phase: int, stride: int, width: int) -> bytes:
    """Return, for one round of windows, 1 where a window holds a permitted time.

    The first window opens at the time of day `phase`; after the round they open at the same times again.
    """
    mask = _mask(times)
    if width == 1 and DAY % stride == 0:
        return mask[phase : phase + DAY : stride]
    openings = ((phase + number * stride) % DAY for number in range(DAY // gcd(stride, DAY)))
    return bytes(mask.find(1, opening, opening + width) >= 0 for opening in openings)
