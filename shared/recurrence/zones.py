"""Know time zones by the pinned tzdata package, and each zone as spans of one UTC offset.

Never the system's database: two nodes with the same package agree on every instant. Instants and local times are whole
seconds since 1970 here, local ones as if the zone were UTC.
"""

from __future__ import annotations

from calendar import isleap
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple
from zoneinfo import ZoneInfo

import tzdata

from shared.errors import InvalidSchedule

TZDATA_VERSION = tzdata.IANA_VERSION
DAY = 86_400
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the zero of local seconds
EPOCH_UTC = EPOCH.replace(tzinfo=UTC)
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()

FIRST_YEAR, LAST_YEAR = 1800, 9999
END = (date(LAST_YEAR, 12, 31).toordinal() - EPOCH_ORDINAL) * DAY
"""No occurrence is at or after the last midnight that is a datetime in every zone."""
BEGIN = (date(FIRST_YEAR, 1, 1).toordinal() - EPOCH_ORDINAL) * DAY

_LONGEST_NAME = 64
_SECOND = timedelta(seconds=1)
_PROBE = 6 * DAY
"""Shorter than the 6.96 days that separate the two closest offset changes of any zone (Gaza, October 2040)."""
_SETTLED = 2100
"""After this year every zone follows one rule of months and weekdays (RFC 9636, 3.3): the same in years alike."""
_TWINS = range(_SETTLED + 1, _SETTLED + 41)
"""Years of every kind: leap and common, with each first weekday."""


class Span(NamedTuple):
    """A stretch of instants with one offset; `before` is the offset that ended when it started."""

    start: int
    end: int
    offset: int
    before: int


@cache
def names() -> frozenset[str]:
    """Return every zone of the package."""
    return frozenset((files(tzdata) / "zones").read_text(encoding="ascii").split())


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """Return the zone of an IANA name; InvalidSchedule, with near names, for any other text."""
    if name not in names():
        raise _unknown(name)
    with (files(tzdata) / "zoneinfo").joinpath(*name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def local_of(instant: int, zone: str) -> int:
    """Return the local time of an instant."""
    return instant + _offset(zone_of(zone), instant)


def seconds_of(moment: datetime) -> int:
    """Return an aware datetime as an instant, a naive one as a local time; fractions round down."""
    return (moment - (EPOCH if moment.tzinfo is None else EPOCH_UTC)) // _SECOND


def instant_of(local: datetime, zone: str) -> datetime:
    """Return the instant of a local time: the first of two passes; in a gap, by the offset before it (RFC 5545 3.3.5).

    An aware datetime already is one.
    """
    moment = local if local.tzinfo is not None else local.replace(tzinfo=zone_of(zone), fold=0)
    return moment.astimezone(UTC)


def is_ambiguous(local: datetime) -> bool:
    """Say whether the clock shows this (real, aware) local time twice."""
    return local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()


def span_at(zone: str, instant: int) -> Span:
    """Return the span that holds an instant.

    It may be cut short at a turn of the year, as if the offset changed to itself there.
    """
    spans = _spans(zone, _year_of(instant))
    at = len(spans) - 1
    while spans[at].start > instant:
        at -= 1
    return spans[at]


@lru_cache(maxsize=8192)
def _spans(zone: str, year: int) -> tuple[Span, ...]:
    """Return the spans that touch a year, whole as far as the years beside it reach."""
    constant = zone_of(zone).utcoffset(None)
    if constant is not None:
        offset = constant // _SECOND
        return (Span(BEGIN - DAY, END, offset, offset),)
    years = (near for near in (year - 1, year, year + 1) if near <= LAST_YEAR)
    changes = [change for near in years for change in _changes(zone, near)]
    start = _new_year(year - 1)
    offset = before = _offset(zone_of(zone), start)
    spans: list[Span] = []
    for instant, after in changes:
        spans.append(Span(start, instant, offset, before))
        start, before, offset = instant, offset, after
    spans.append(Span(start, min(_new_year(year + 2), END), offset, before))
    return tuple(span for span in spans if span.end > _new_year(year) and span.start < _new_year(year + 1))


@lru_cache(maxsize=8192)
def _changes(zone: str, year: int) -> tuple[tuple[int, int], ...]:
    """Return a year's changes of offset: each instant, and the offset from then on."""
    if year > _TWINS[-1]:
        twin = _twin_of(year)
        later = _new_year(year) - _new_year(twin)
        return tuple((instant + later, after) for instant, after in _changes(zone, twin))
    info = zone_of(zone)
    low, end = _new_year(year), _new_year(year + 1)
    offset = _offset(info, low)
    changes: list[tuple[int, int]] = []
    while low < end:
        high = min(low + _PROBE, end)
        if (after := _offset(info, high)) != offset:
            changes.append((_change_between(info, low, high), after))
            offset = after
        low = high
    return tuple(changes)


def _twin_of(year: int) -> int:
    """Return an early year with the same weekdays."""
    return next(
        twin
        for twin in _TWINS
        if isleap(twin) == isleap(year) and date(twin, 1, 1).weekday() == date(year, 1, 1).weekday()
    )


def _change_between(zone: ZoneInfo, low: int, high: int) -> int:
    """Return the first instant in (low, high] with the offset of `high`."""
    offset = _offset(zone, high)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == offset:
            high = middle
        else:
            low = middle
    return high


def _offset(zone: ZoneInfo, instant: int) -> int:
    shown = datetime.fromtimestamp(instant, zone)
    return ((shown.replace(tzinfo=None) - EPOCH) // _SECOND) - instant


def _year_of(instant: int) -> int:
    return date.fromordinal(instant // DAY + EPOCH_ORDINAL).year


def _new_year(year: int) -> int:
    return (date(year, 1, 1).toordinal() - EPOCH_ORDINAL) * DAY if year <= LAST_YEAR else END + DAY


def _unknown(name: str) -> InvalidSchedule:
    near = _near(name[:_LONGEST_NAME])
    return InvalidSchedule(
        f"unknown time zone {name[:_LONGEST_NAME]!r}",
        part="timezone",
        hint=f"did you mean {' or '.join(near)}?" if near else "give an IANA name, Area/City",
        example=near[0] if near else "Europe/Paris",
    )


def _near(name: str) -> list[str]:
    """Return up to three zones whose name, or whose city alone, looks like the text."""
    by_text = {zone.lower(): zone for zone in sorted(names())}
    by_text |= {zone.rpartition("/")[2].lower(): zone for zone in sorted(names())}
    wanted = name.strip().replace(" ", "_").lower()
    return list(dict.fromkeys(by_text[text] for text in get_close_matches(wanted, by_text, n=3, cutoff=0.7)))
