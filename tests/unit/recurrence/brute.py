"""Expand rules the slow way, straight from the words of RFC 5545, for the evaluator to be held against.

It looks at every day (or every second of every step) from the start on, and shares no code with the evaluator but the
parser and the reading of local times.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from shared.recurrence.rule import Freq, Rule

DAY = timedelta(days=1)


def wall_clock(rule: Rule, start: datetime, until: date) -> list[datetime]:
    """Return the local times of a DAILY or coarser rule from `start` to `until`."""
    first = date(start.year, 1, 1) - 7 * DAY
    # To the end of the last period, as BYSETPOS may count from there.
    days = [first + n * DAY for n in range((date(until.year + 1, 1, 14) - first).days)]
    found: list[datetime] = []
    for period, members in groupby(days, key=lambda day: period_of(rule, day)):
        if (period - period_of(rule, start.date())) % rule.interval == 0:
            times = [
                datetime.combine(day, at)
                for day in members
                if permits(rule, start, day)
                for at in times_of(rule, start)
            ]
            found += chosen(rule, times)
    return [moment for moment in found if start <= moment and moment.date() <= until]


def elapsed(rule: Rule, start_at: datetime, zone: ZoneInfo, until: datetime) -> list[datetime]:
    """Return the instants of an HOURLY or finer rule from `start_at` to `until`."""
    unit = {Freq.HOURLY: 3600, Freq.MINUTELY: 60, Freq.SECONDLY: 1}[rule.freq]
    local = start_at.astimezone(zone)
    whole = {Freq.HOURLY: bool(rule.by_minute or rule.by_second), Freq.MINUTELY: bool(rule.by_second)}.get(
        rule.freq, False
    )
    opening = start_at - timedelta(seconds=(local.minute * 60 + local.second) % unit if whole else 0)
    found: list[datetime] = []
    while opening <= until:
        seconds = (opening + timedelta(seconds=n) for n in range(unit if whole else 1))
        found += chosen(rule, [at for at in seconds if _shows(rule, local, at.astimezone(zone), whole=whole)])
        opening += timedelta(seconds=unit * rule.interval)
    return [at for at in found if start_at <= at <= until]


def _shows(rule: Rule, start: datetime, local: datetime, *, whole: bool) -> bool:
    minutes = rule.by_minute or ((start.minute,) if whole and rule.freq is Freq.HOURLY else range(60))
    seconds = rule.by_second or ((start.second,) if whole else range(60))
    return (
        (not rule.by_hour or local.hour in rule.by_hour)
        and local.minute in minutes
        and local.second in seconds
        and permits(rule, start, local.date())
    )


def resolved(times: list[datetime], zone: ZoneInfo, *, skip: bool) -> list[datetime]:
    """Return the instants of local times, in their own order, none twice."""
    instants = {moment.replace(tzinfo=zone).astimezone(UTC): moment for moment in times}
    return sorted(
        at for at, moment in instants.items() if not skip or at.astimezone(zone).replace(tzinfo=None) == moment
    )


def period_of(rule: Rule, day: date) -> int:
    match rule.freq:
        case Freq.YEARLY:
            return day.year
        case Freq.MONTHLY:
            return day.year * 12 + day.month
        case Freq.WEEKLY:
            return (day.toordinal() - 1 - rule.week_start) // 7
        case _:
            return day.toordinal()


def permits(rule: Rule, start: datetime, day: date) -> bool:
    dayless = not (rule.by_day or rule.by_month_day or rule.by_year_day)
    months, month_days, weekday = rule.by_month, rule.by_month_day, None
    if dayless and (rule.freq is Freq.WEEKLY or rule.by_week_no):
        weekday = start.weekday()
    elif dayless and rule.freq in {Freq.YEARLY, Freq.MONTHLY}:
        month_days = (start.day,)
    if rule.freq is Freq.YEARLY and month_days and not (months or rule.by_week_no or rule.by_year_day):
        months = (start.month,)
    month, year = day.replace(day=1), day.replace(month=1, day=1)
    in_month = _place(day, month, (month + 31 * DAY).replace(day=1))
    in_year = _place(day, year, year.replace(year=year.year + 1))
    return (
        (not months or day.month in months)
        and (not month_days or bool(set(in_month) & set(month_days)))
        and (not rule.by_year_day or bool(set(in_year) & set(rule.by_year_day)))
        and (not rule.by_week_no or bool(set(_week(day, rule.week_start)) & set(rule.by_week_no)))
        and (weekday is None or day.weekday() == weekday)
        and (not rule.by_day or _on_weekday(rule, day))
    )


def _place(day: date, first: date, after: date) -> tuple[int, int]:
    """Return a day's number in the period from `first` to before `after`, from the beginning and from the end."""
    return (day - first).days + 1, (day - after).days


def _week(day: date, week_start: int) -> tuple[int, int]:
    """Return a day's week number in its own week-numbering year, from the beginning and from the end."""
    fourth = day - ((day.weekday() - week_start) % 7 - 3) * DAY
    number = (fourth - date(fourth.year, 1, 1)).days // 7 + 1
    rest = (date(fourth.year + 1, 1, 1) - fourth - DAY).days // 7
    return number, -1 - rest


def _on_weekday(rule: Rule, day: date) -> bool:
    nths = {0}
    if rule.freq is Freq.MONTHLY or rule.by_month:
        month = [day.replace(day=1) + n * DAY for n in range(31)]
        alike = [other for other in month if other.month == day.month and other.weekday() == day.weekday()]
    else:
        year = [day.replace(month=1, day=1) + n * DAY for n in range(366)]
        alike = [other for other in year if other.year == day.year and other.weekday() == day.weekday()]
    nths |= {alike.index(day) + 1, alike.index(day) - len(alike)}
    return any(wanted.weekday == day.weekday() and wanted.nth in nths for wanted in rule.by_day)


def times_of(rule: Rule, start: datetime) -> Iterator[time]:
    for hour in rule.by_hour or (start.hour,):
        for minute in rule.by_minute or (start.minute,):
            for second in rule.by_second or (start.second,):
                yield time(hour, minute, second)


def chosen(rule: Rule, times: list[datetime]) -> list[datetime]:
    if not rule.by_set_pos:
        return times
    places = {p - 1 if p > 0 else len(times) + p for p in rule.by_set_pos if abs(p) <= len(times)}
    return [times[place] for place in sorted(places)]
