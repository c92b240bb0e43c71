"""Put a series into words, so that a wrong rule is seen at once. The same series always gives the same words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from shared.recurrence.parse import parse_rule
from shared.recurrence.rule import Freq, Rule, WeekDay
from shared.recurrence.series import Series

_UNITS = ("year", "month", "week", "day", "hour", "minute", "second")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MOST_TIMES = 6
_MOST_LISTED = 12


def summary(series: Series) -> str:
    """Return what the series does, in English."""
    if series.rule is None:
        words = f"once on {series.start_local.date()} at {_clock(series.start_local)} ({series.zone})"
    else:
        words = _of_rule(parse_rule(series.rule), series.start_local, series.zone)
    if series.rdates:
        words += f", and on {_amount(len(series.rdates), 'extra date')}"
    if series.exdates:
        words += f", but for {_amount(len(series.exdates), 'date')}"
    return words


def _of_rule(rule: Rule, start: datetime, zone: str) -> str:
    unit = _UNITS[rule.freq]
    every = f"every {unit}" if rule.interval == 1 else f"every {rule.interval} {unit}s"
    words = " ".join([every, *_days(rule, start), *_times(rule, start)]) + f" ({zone})"
    if rule.by_set_pos:
        words += f", only the {_join(map(_nth, rule.by_set_pos))} of each {_period(rule)}"
    if rule.sub_daily or rule.interval > 1:
        words += f", from {start.date()} {_clock(start)}"
    if rule.week_start and (rule.by_week_no or (rule.freq is Freq.WEEKLY and rule.interval > 1)):
        words += f", weeks starting on {_WEEKDAYS[rule.week_start]}"
    if rule.count is not None:
        words += f", {_amount(rule.count, 'time')}"
    if rule.until is not None:
        words += f", until {rule.until:%Y-%m-%dT%H:%M:%SZ}"
    return words


def _period(rule: Rule) -> str:
    return _UNITS[rule.freq] if rule.interval == 1 else f"such {_UNITS[rule.freq]}"


def _days(rule: Rule, start: datetime) -> Iterator[str]:
    """Yield which days, what the start implies included."""
    month_days, weekdays, months = rule.by_month_day, rule.by_day, rule.by_month
    if not (month_days or weekdays or rule.by_year_day):
        if rule.freq is Freq.MONTHLY or (rule.freq is Freq.YEARLY and not rule.by_week_no):
            month_days = (start.day,)
        elif rule.freq in {Freq.WEEKLY, Freq.YEARLY}:
            weekdays = (WeekDay(0, start.weekday()),)
    if rule.freq is Freq.YEARLY and month_days and not (months or rule.by_week_no or rule.by_year_day):
        months = (start.month,)
    if months:
        yield f"in {_join(_MONTHS[month - 1] for month in months)}"
    if rule.by_week_no:
        yield f"in the {_join(map(_nth, rule.by_week_no))} week of the year"
    if rule.by_year_day:
        yield f"on the {_join(map(_nth, rule.by_year_day))} day of the year"
    if month_days:
        yield f"on the {_join(map(_nth, month_days))} day of the month"
    if weekdays:
        also = "if it is" if month_days or rule.by_year_day else "on"
        yield f"{also} {_weekdays(rule, weekdays)}"


def _weekdays(rule: Rule, weekdays: tuple[WeekDay, ...]) -> str:
    words = _join(
        f"the {_nth(day.nth)} {_WEEKDAYS[day.weekday]}" if day.nth else _WEEKDAYS[day.weekday] for day in weekdays
    )
    if rule.freq is Freq.YEARLY and any(day.nth for day in weekdays):
        words += " of the month" if rule.by_month else " of the year"
    return words


def _times(rule: Rule, start: datetime) -> Iterator[str]:
    """Yield which times of day; what a finer FREQ leaves to its steps is not named."""
    if rule.sub_daily:
        if rule.by_hour:
            yield f"in {_values('hour', rule.by_hour)}"
        if rule.by_minute:
            yield f"at {_values('minute', rule.by_minute)}"
        if rule.by_second:
            yield f"at {_values('second', rule.by_second)}"
        return
    hours, minutes, seconds = (
        rule.by_hour or (start.hour,),
        rule.by_minute or (start.minute,),
        rule.by_second or (start.second,),
    )
    if len(hours) * len(minutes) * len(seconds) > _MOST_TIMES:
        yield f"at {_values('minute', minutes)} of {_values('hour', hours)}"
        if seconds != (0,):
            yield f"at {_values('second', seconds)}"
        return
    times = (start.replace(hour=h, minute=m, second=s) for h in hours for m in minutes for s in seconds)
    yield f"at {_join(map(_clock, times))}"


def _values(unit: str, values: tuple[int, ...]) -> str:
    """Return `hours 9 to 17`, or the values one by one where they are no single run."""
    if len(values) == 1:
        return f"{unit} {values[0]}"
    if len(values) > 2 and values[-1] - values[0] == len(values) - 1:
        return f"{unit}s {values[0]} to {values[-1]}"
    return f"{unit}s {_join(map(str, values))}"


def _nth(number: int) -> str:
    """Return `1st`, `22nd`, `last`, `2nd to last`."""
    if number == -1:
        return "last"
    at = abs(number)
    suffix = "th" if 10 <= at % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(at % 10, "th")
    return f"{at}{suffix}" if number > 0 else f"{at}{suffix} to last"


def _clock(moment: datetime) -> str:
    return moment.time().isoformat("seconds" if moment.second else "minutes")


def _amount(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _join(words: Iterable[str]) -> str:
    """Return `a, b and c`; of a long list only the beginning, and how many more there are."""
    listed: Sequence[str] = list(words)
    if len(listed) > _MOST_LISTED:
        listed = [*listed[: _MOST_LISTED - 1], f"{len(listed) - _MOST_LISTED + 1} more"]
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"
