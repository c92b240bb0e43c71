"""Find the days that a rule permits, year by year, whatever its FREQ.

A set of days is an int: bit n is the day n after 1 January, so that BYxxx parts combine with `&` and `|`. A year's set
depends only on the weekday it begins with and on the lengths of three years: 28 kinds of years, each worked out once.
Days are numbered from 1970-01-01, weekdays from Monday.
"""

from __future__ import annotations

from bisect import bisect_left
from calendar import isleap
from collections.abc import Iterable
from datetime import date, datetime
from functools import cache, lru_cache
from itertools import accumulate
from math import gcd
from typing import NamedTuple

from shared.recurrence.rule import Freq, Rule, WeekDay
from shared.recurrence.zones import DAY, END, EPOCH_ORDINAL, LAST_YEAR

CYCLE_YEARS = 400
"""The Gregorian calendar, weekdays included, repeats after this many years."""

LAST_DAY = END // DAY
"""31 December 9999."""

_EVERY_7TH = sum(1 << n for n in range(0, 371, 7))
_MONTH_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MONTHS = {
    365: tuple(accumulate(_MONTH_LENGTHS, initial=0)),
    366: tuple(accumulate((31, 29, *_MONTH_LENGTHS[2:]), initial=0)),
}
_FOUR_DAYS = 4
"""A week belongs to the year that holds at least four of its days (ISO 8601, for any week start)."""


class Kind(NamedTuple):
    """All of a year that matters: the weekday of 1 January, and the lengths of the years before, this and after."""

    first: int
    before: int
    length: int
    after: int


class Day(NamedTuple):
    """What a rule takes from its start where it says nothing itself."""

    month: int
    month_day: int
    weekday: int


class Filter(NamedTuple):
    """The parts that choose days; an empty tuple permits all of them."""

    months: tuple[int, ...] | None
    """None: no month at all."""
    weeks: tuple[int, ...]
    year_days: tuple[int, ...]
    month_days: tuple[int, ...]
    weekdays: tuple[WeekDay, ...]
    nth_in_month: bool
    week_start: int
    on_weekday: int | None
    """The one weekday that an interval of whole weeks of days can reach."""


def number_of(day: date) -> int:
    """Return the number of a date."""
    return day.toordinal() - EPOCH_ORDINAL


def date_of(day: int) -> date:
    """Return the date of a number."""
    return date.fromordinal(day + EPOCH_ORDINAL)


def first_of(year: int, month: int = 1) -> int:
    """Return the number of a month's first day; after the last year, of the day after the last."""
    return number_of(date(year, month, 1)) if year <= LAST_YEAR else LAST_DAY + 1


def weekday_of(day: int) -> int:
    """Return the weekday of a number: 1970-01-01 was a Thursday."""
    return (day + 3) % 7


class Days:
    """The permitted days of one rule and start; only ever adds to what it has worked out."""

    def __init__(self, chosen: Filter) -> None:
        self._chosen = chosen
        self._kinds: dict[Kind, tuple[int, ...]] = {}

    @property
    def all(self) -> bool:
        """Say whether every day is permitted."""
        return not any(part for part in self._chosen[:5]) and self._chosen.on_weekday is None

    def following(self, day: int) -> int | None:
        """Return the first permitted day from `day` on; None if there is none in a whole cycle of the calendar."""
        year = date_of(day).year
        for near in range(year, min(year + CYCLE_YEARS, LAST_YEAR) + 1):
            new_year, days = self._of(near)
            at = bisect_left(days, day - new_year)
            if at < len(days):
                return new_year + days[at]
        return None

    def between(self, start: int, end: int) -> list[int]:
        """Return the permitted days in [start, end), at most a year long."""
        new_year, days = self._of(date_of(start).year)
        found = [new_year + n for n in days[bisect_left(days, start - new_year) : bisect_left(days, end - new_year)]]
        last = date_of(min(end - 1, LAST_DAY)).year
        if number_of(date(last, 1, 1)) > new_year:
            new_year, days = self._of(last)
            found += [new_year + n for n in days[: bisect_left(days, end - new_year)]]
        return found

    def _of(self, year: int) -> tuple[int, tuple[int, ...]]:
        """Return the number of a year's 1 January and its permitted days, counted from there."""
        new_year, kind = _year(year)
        days = self._kinds.get(kind)
        if days is None:
            days = self._kinds[kind] = _bits(_set_of(self._chosen, kind))
        return new_year, days


@lru_cache(maxsize=1024)
def _shared(chosen: Filter) -> Days:
    return Days(chosen)


def days_of(rule: Rule, start: datetime) -> Days:
    """Return the permitted days of a rule that starts on a local day; rules alike share them."""
    return _shared(_filter_of(rule, Day(start.month, start.day, start.weekday())))


def _filter_of(rule: Rule, start: Day) -> Filter:
    """Return a rule's day parts with everything that its start implies made explicit."""
    months, month_days, weekdays = rule.by_month, rule.by_month_day, rule.by_day
    dayless = not (month_days or weekdays or rule.by_year_day)
    match rule.freq:
        case Freq.YEARLY:
            if dayless and rule.by_week_no:
                weekdays = (WeekDay(0, start.weekday),)
            elif dayless:
                month_days = (start.month_day,)
            if month_days and not (months or rule.by_week_no or rule.by_year_day):
                months = (start.month,)
        case Freq.MONTHLY if dayless:
            month_days = (start.month_day,)
        case Freq.WEEKLY if dayless:
            weekdays = (WeekDay(0, start.weekday),)
        case _:
            pass
    return Filter(
        months=_reachable(months, rule, start),
        weeks=rule.by_week_no,
        year_days=rule.by_year_day,
        month_days=month_days,
        weekdays=weekdays,
        nth_in_month=rule.freq is Freq.MONTHLY or bool(rule.by_month),
        week_start=rule.week_start if rule.by_week_no else 0,
        on_weekday=start.weekday if rule.freq is Freq.DAILY and rule.interval % 7 == 0 else None,
    )


def _reachable(months: tuple[int, ...], rule: Rule, start: Day) -> tuple[int, ...] | None:
    """Return the months that steps of INTERVAL months ever meet, so that one never met costs no search."""
    step = gcd(rule.interval, 12)
    if rule.freq is not Freq.MONTHLY or step == 1:
        return months
    return tuple(m for m in months or range(1, 13) if (m - start.month) % step == 0) or None


@cache
def _year(year: int) -> tuple[int, Kind]:
    """Return the number of a year's 1 January, and its kind."""
    new_year = number_of(date(year, 1, 1))
    before, length, after = (366 if isleap(near) else 365 for near in (year - 1, year, year + 1))
    return new_year, Kind(weekday_of(new_year), before, length, after)


def _bits(days: int) -> tuple[int, ...]:
    return tuple(n for n, bit in enumerate(reversed(f"{days:b}")) if bit == "1")


def _set_of(chosen: Filter, kind: Kind) -> int:
    """Return the days of a kind of year that every part permits."""
    if chosen.months is None:
        return 0
    days = (1 << kind.length) - 1
    bounds = _MONTHS[kind.length]
    months = [(bounds[m - 1], bounds[m]) for m in chosen.months or range(1, 13)]
    if chosen.months:
        days &= _union(_stretch(low, high) for low, high in months)
    if chosen.weeks:
        days &= _in_weeks(chosen, kind)
    if chosen.year_days:
        days &= _counted(chosen.year_days, [(0, kind.length)])
    if chosen.month_days:
        days &= _counted(chosen.month_days, months)
    if chosen.weekdays:
        days &= _on_weekdays(chosen.weekdays, months if chosen.nth_in_month else [(0, kind.length)], kind)
    if chosen.on_weekday is not None:
        days &= _every(chosen.on_weekday, kind)
    return days


def _union(sets: Iterable[int]) -> int:
    days = 0
    for some in sets:
        days |= some
    return days


def _stretch(low: int, high: int) -> int:
    """Return the days in [low, high), as far as they are in the year."""
    return (1 << max(high, 0)) - (1 << max(low, 0))


def _counted(numbers: tuple[int, ...], periods: list[tuple[int, int]]) -> int:
    """Return the n-th day of each period; negative numbers count from its end."""
    places = ((low + n - 1 if n > 0 else high + n, low, high) for low, high in periods for n in numbers)
    return _union(1 << day for day, low, high in places if low <= day < high)


def _every(weekday: int, kind: Kind) -> int:
    return _EVERY_7TH << (weekday - kind.first) % 7


def _on_weekdays(wanted: tuple[WeekDay, ...], periods: list[tuple[int, int]], kind: Kind) -> int:
    """Return every wanted weekday, or where it has an ordinal the n-th of each period."""
    days = _union(_every(day.weekday, kind) for day in wanted if not day.nth)
    for nth, weekday in wanted:
        for low, high in periods if nth else ():
            if nth > 0:
                day = low + (weekday - kind.first - low) % 7 + 7 * (nth - 1)
            else:
                day = high - 1 - (kind.first + high - 1 - weekday) % 7 + 7 * (nth + 1)
            if low <= day < high:
                days |= 1 << day
    return days


def _in_weeks(chosen: Filter, kind: Kind) -> int:
    """Return the days whose week has a wanted number, in its own year's count: the edges belong to the years beside."""
    last = (kind.first - kind.before) % 7
    next_ = (kind.first + kind.length) % 7
    lasting = {
        -kind.before: (last, kind.before),
        0: (kind.first, kind.length),
        kind.length: (next_, kind.after),
    }
    days = 0
    for new_year, (first, length) in lasting.items():
        start = new_year + _first_week(first, chosen.week_start)
        weeks = (new_year + length + _first_week((first + length) % 7, chosen.week_start) - start) // 7
        for week in chosen.weeks:
            at = start + 7 * (week - 1 if week > 0 else weeks + week)
            if start <= at < start + 7 * weeks:
                days |= _stretch(at, at + 7)
    return days & ((1 << kind.length) - 1)


def _first_week(first: int, week_start: int) -> int:
    """Return the day, counted from 1 January, on which week 1 starts."""
    start = -((first - week_start) % 7)
    return start if start + 7 >= _FOUR_DAYS else start + 7
