from __future__ import annotations

from datetime import datetime, timedelta
from itertools import takewhile
from time import process_time

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.recurrence import Overridden, Override, newest
from shared.recurrence.counting import in_span
from tests import costs
from tests.unit.recurrence.making import series_of, utc

START = "2026-03-01T09:00"
RULES = st.sampled_from(
    [
        "FREQ=MINUTELY;INTERVAL=7",
        "FREQ=MINUTELY;INTERVAL=20;BYHOUR=1,2,3",
        "FREQ=HOURLY;BYMINUTE=0,30",
        "FREQ=DAILY;BYHOUR=2,3;BYMINUTE=30",
        "FREQ=WEEKLY;BYDAY=MO,FR;COUNT=9",
        "FREQ=DAILY;UNTIL=20260410T000000Z",
        None,
    ]
)
MOMENTS = st.integers(-100_000, 6_000_000).map(lambda seconds: utc(f"{START}Z") + timedelta(seconds=seconds))


def an_overridden(rule: str | None, zone: str, *, changed: bool) -> Overridden:
    """Return a series, and where asked for with dates added and left out, and occurrences moved and excluded."""
    if not changed:
        return Overridden(series=series_of(rule, START, zone), overrides={})
    plain = series_of(rule, START, zone).occurrences()
    listed = list(takewhile(lambda o: o.scheduled_at < utc("2026-05-10T00:00Z"), plain))
    series = series_of(
        rule,
        START,
        zone,
        rdates=["2026-03-08T11:11Z", "2026-04-01T00:00:30Z"],
        exdates=[o.scheduled_at.isoformat() for o in listed[3:9:2]],
    )
    overrides = {o.recurrence_id: Override(excluded=True) for o in listed[1:30:4]}
    overrides |= {o.recurrence_id: Override(scheduled_at=o.scheduled_at + timedelta(days=2)) for o in listed[2:40:5]}
    return Overridden(series=series, overrides=overrides)


@given(
    rule=RULES,
    zone=st.sampled_from(["UTC", "America/New_York"]),
    changed=st.booleans(),
    span=st.tuples(MOMENTS, MOMENTS),
    most=st.integers(0, 120),
)
@settings(max_examples=200, deadline=None)
def test_looking_back_finds_what_a_walk_from_the_beginning_finds(
    rule: str | None, zone: str, *, changed: bool, span: tuple[datetime, datetime], most: int
) -> None:
    series = an_overridden(rule, zone, changed=changed)
    since, until = sorted(span)

    walked = [o for o in takewhile(lambda o: o.scheduled_at <= until, series.occurrences()) if o.scheduled_at >= since]

    assert newest(series, since=since, until=until, most=most) == walked[max(0, len(walked) - most) :]
    assert series.count_due(since, until) == len(walked)
    in_place = [o for o in walked if "moved" not in o.flags]
    assert series.count_in_place(since, until) == len(in_place)


def test_a_year_of_minutes_is_counted_without_a_walk() -> None:
    series = series_of("FREQ=MINUTELY", START, "America/New_York")
    since = series.start_at + timedelta(seconds=1)

    begun = process_time()
    found = in_span(series, since, since + timedelta(days=365))
    spent = process_time() - begun

    assert costs.is_cheap(spent, bound=0.05)
    assert found == 365 * 24 * 60


def test_of_what_has_to_be_walked_a_hundred_thousand_are_counted() -> None:
    series = series_of("FREQ=HOURLY;BYMINUTE=0,1,2,3,4,5,6,7,8,9", START)

    assert in_span(series, series.start_at, series.start_at + timedelta(days=3650)) == 100_000
