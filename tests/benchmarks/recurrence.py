"""Measure what comes next, beside plain python-dateutil: `python -m tests.benchmarks.recurrence`.

Each figure is the median of the time in microseconds, caches warm. A series is rebuilt from its columns for every call,
as the scheduler does it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median
from time import perf_counter

from dateutil.rrule import rrulestr

from shared import recurrence
from shared.errors import InvalidSchedule
from shared.recurrence import Series, parse_rule
from shared.recurrence.zones import instant_of, zone_of

NOW = datetime.fromisoformat("2026-11-24T12:00:30Z")
DAY = timedelta(days=1)
TEN_YEARS = timedelta(days=3652)
RULES = (
    "FREQ=MINUTELY",
    "FREQ=MINUTELY;INTERVAL=15;BYHOUR=9,10,11",
    "FREQ=HOURLY",
    "FREQ=DAILY",
    "FREQ=WEEKLY;BYDAY=MO,WE,FR",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
    "FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU",
)
NEVER = (
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=MINUTELY;INTERVAL=30;BYMINUTE=15",
    "FREQ=MONTHLY;BYDAY=2TU;BYSETPOS=2",
    "FREQ=HOURLY;INTERVAL=168;BYDAY=SU",
)


def microseconds(call: Callable[[], object], *, seconds: float = 0.2) -> float:
    """Return the median time of a call, made for about as long as that."""
    call()
    times: list[float] = []
    began = perf_counter()
    while not times or perf_counter() - began < seconds:
        before = perf_counter()
        call()
        times.append(perf_counter() - before)
    return median(times) * 1e6


def ours(rule: str, start: datetime, zone: str) -> float:
    start_at = instant_of(start, zone)

    def call() -> object:
        return Series(start_at=start_at, start_local=start, zone=zone, rule=rule).next_after(NOW)

    return microseconds(call)


def created(rule: str, start: datetime, zone: str) -> float:
    """Return the time of all that a new rule costs: parse, check, first occurrence."""
    start_at = instant_of(start, zone)

    def call() -> object:
        parse_rule.cache_clear()
        series = recurrence.series(
            start_at=start_at, start_local=start, zone=zone, rule=parse_rule(rule), min_interval=timedelta(minutes=1)
        )
        return series.next_after(start_at, inclusive=True)

    return microseconds(call)


def dateutil(rule: str, start: datetime, zone: str) -> float:
    aware = start.replace(tzinfo=zone_of(zone))
    return microseconds(lambda: rrulestr(rule, dtstart=aware).after(NOW), seconds=0)


def refused(rule: str, zone: str) -> float:
    start = datetime.fromisoformat("2026-01-01T09:00")

    def call() -> None:
        try:
            recurrence.series(start_at=instant_of(start, zone), start_local=start, zone=zone, rule=parse_rule(rule))
        except InvalidSchedule:
            return

    return microseconds(call)


def lines() -> list[str]:
    table = [
        "| rule | zone | 1 day old | 10 years old | create | dateutil, 10 years old |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for zone in ("UTC", "America/New_York"):
        young, old = ((NOW - age).astimezone(UTC).replace(tzinfo=None, second=0) for age in (DAY, TEN_YEARS))
        for rule in RULES:
            figures = (
                ours(rule, young, zone),
                ours(rule, old, zone),
                created(rule, old, zone),
                dateutil(rule, old, zone),
            )
            table.append(f"| `{rule}` | {zone} | " + " | ".join(f"{figure:,.0f}" for figure in figures) + " |")
    table += ["", "| never matches | zone | refused after |", "|---|---|--:|"]
    table += [
        f"| `{rule}` | {zone} | {refused(rule, zone):,.0f} |" for rule in NEVER for zone in ("UTC", "Europe/Paris")
    ]
    return table


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
