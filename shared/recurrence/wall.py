"""Step DAILY and coarser rules on the wall clock, one interval's set at a time.

The interval that holds a moment is found by arithmetic, so what comes next costs the same however old the rule is.
Local times are whole seconds; the zone comes later.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from math import lcm
from typing import NamedTuple

from shared.recurrence.days import CYCLE_YEARS, LAST_DAY, date_of, days_of, first_of, number_of, weekday_of
from shared.recurrence.rule import Freq, Rule
from shared.recurrence.times import Times, chosen
from shared.recurrence.zones import DAY

_EVERY_KIND_OF_YEAR = 41
"""Over a century without a leap day it takes 40 years for 29 February to fall on the same weekday again."""


class Grid(NamedTuple):
    """How a FREQ numbers its intervals: a day's interval, an interval's first day, intervals in 400 years."""

    number_at: Callable[[int], int]
    first_day: Callable[[int], int]
    cycle: int


class WallClock:
    """The local times of a rule from its start on."""

    def __init__(self, rule: Rule, start: datetime) -> None:
        self._days = days_of(rule, start)
        self._times = Times(
            rule.by_hour or (start.hour,), rule.by_minute or (start.minute,), rule.by_second or (start.second,)
        )
        self._grid = _grid_of(rule)
        self._interval = rule.interval
        self._origin = self._grid.number_at(number_of(start.date()))
        self._positions = rule.by_set_pos
        self._hopeless = bool(self._positions) and not chosen(self._positions, _most_days(rule) * self._times.size)

    @property
    def closest(self) -> int:
        """No two local times are closer than this, in seconds; BYSETPOS and lone days may keep them further apart."""
        return self._times.closest()

    def walk(self, local: int) -> Iterator[int]:
        """Yield the local times from `local` on; the end comes when none is left, or when none ever comes again.

        That is certain once the intervals and the calendar have fallen in step again without a find; where no interval
        is passed over, once every kind of year was there.
        """
        if self._hopeless:
            return
        grid, step = self._grid, self._interval
        barren = lcm(step, grid.cycle) if step > 1 else grid.cycle * _EVERY_KIND_OF_YEAR // CYCLE_YEARS
        at = self._on_grid(grid.number_at(local // DAY))
        limit = at + barren
        while at <= limit and (day := self._first_day_from(at, local)) is not None:
            holding = grid.number_at(day)
            at = self._on_grid(holding)
            if at != holding:
                continue
            for found in self._set_of(at, local):
                limit = at + barren
                yield found
            at += step

    def _on_grid(self, interval: int) -> int:
        """Return the first interval from one on that INTERVAL does not pass over."""
        return interval + (self._origin - interval) % self._interval

    def _first_day_from(self, interval: int, local: int) -> int | None:
        if interval > self._grid.number_at(LAST_DAY):
            return None
        return self._days.following(max(self._grid.first_day(interval), local // DAY))

    def _set_of(self, interval: int, local: int) -> Iterator[int]:
        """Yield an interval's times from `local` on. BYSETPOS counts from the interval's beginning."""
        days = self._days.between(self._grid.first_day(interval), self._grid.first_day(interval + 1))
        each = self._times.size
        near = bisect_left(days, local // DAY)
        skipped = near * each
        if near < len(days) and days[near] == local // DAY:
            skipped += self._times.position(local % DAY)
        places: Sequence[int] = range(skipped, len(days) * each)
        if self._positions:
            places = [place for place in chosen(self._positions, len(days) * each) if place >= skipped]
        for place in places:
            day, time = divmod(place, each)
            yield days[day] * DAY + self._times.at(time)


def _grid_of(rule: Rule) -> Grid:
    match rule.freq:
        case Freq.YEARLY:
            return Grid(_year_of, first_of, 400)
        case Freq.MONTHLY:
            return Grid(_month_of, _first_of_month, 4_800)
        case Freq.WEEKLY:
            shift = (rule.week_start - weekday_of(0)) % 7

            def week_of(day: int) -> int:
                return (day - shift) // 7

            def first_of_week(week: int) -> int:
                return week * 7 + shift

            return Grid(week_of, first_of_week, 20_871)
        case _:
            return Grid(int, int, 146_097)


def _most_days(rule: Rule) -> int:
    """Return how many days an interval can hold at most, not looking too closely."""
    match rule.freq:
        case Freq.YEARLY:
            return 366
        case Freq.MONTHLY:
            return len(rule.by_month_day) or sum(1 if day.nth else 5 for day in rule.by_day) or 1
        case Freq.WEEKLY:
            return len(rule.by_day) or 1
        case _:
            return 1


def _year_of(day: int) -> int:
    return date_of(day).year


def _month_of(day: int) -> int:
    on = date_of(day)
    return on.year * 12 + on.month - 1


def _first_of_month(month: int) -> int:
    return first_of(month // 12, month % 12 + 1)
