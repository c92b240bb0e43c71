"""What must hold for every rule, zone and start; held against a slow expansion and against python-dateutil."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise

from dateutil import rrule as dateutil
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from shared.errors import InvalidSchedule
from shared.recurrence import Series, parse_rule
from shared.recurrence.rule import WEEKDAYS
from shared.recurrence.zones import zone_of
from tests.unit.recurrence import brute
from tests.unit.recurrence.making import series_of

ZONES = st.sampled_from(
    ["UTC", "America/New_York", "Europe/London", "Australia/Lord_Howe", "Antarctica/Troll", "Asia/Kolkata", "Asia/Gaza"]
)
STARTS = st.builds(datetime.fromtimestamp, st.integers(1_704_067_200, 1_861_833_600), st.just(UTC)).map(
    lambda at: at.replace(tzinfo=None)
)
NEAR_CHANGES = st.sampled_from(
    [
        *("2026-03-08T01:30", "2026-03-08T02:30", "2026-03-29T01:15", "2026-04-05T01:45"),
        *("2026-10-04T02:15", "2026-10-25T01:30", "2026-11-01T01:30"),
    ]
).map(datetime.fromisoformat)
YEARS = timedelta(days=3 * 366)


def numbers(low: int, high: int, *, signed: bool = False, most: int = 4) -> st.SearchStrategy[str]:
    values = st.integers(low, high)
    if signed:
        values |= st.integers(-high, -low)
    return st.lists(values, min_size=1, max_size=most).map(lambda found: ",".join(map(str, found)))


def weekdays(*, nth: int = 0) -> st.SearchStrategy[str]:
    plain = st.sampled_from(WEEKDAYS)
    day = st.builds("{}{}".format, st.integers(1, nth) | st.integers(-nth, -1), plain) | plain if nth else plain
    return st.lists(day, min_size=1, max_size=4).map(",".join)


@st.composite
def wall_rules(draw: DrawFn) -> str:
    freq = draw(st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY"]))
    parts = {
        "BYMONTH": numbers(1, 12),
        "BYHOUR": numbers(0, 23, most=3),
        "BYMINUTE": numbers(0, 59, most=3),
        "BYDAY": weekdays(nth={"YEARLY": 53, "MONTHLY": 5}.get(freq, 0)),
        "WKST": st.sampled_from(WEEKDAYS),
    }
    if freq != "WEEKLY":
        parts["BYMONTHDAY"] = numbers(1, 31, signed=True)
    if freq == "YEARLY":
        parts |= {"BYYEARDAY": numbers(1, 366, signed=True), "BYWEEKNO": numbers(1, 53, signed=True)}
        parts["BYDAY"] |= weekdays()
    return draw(assembled(freq, parts, st.integers(1, 5)))


@st.composite
def elapsed_rules(draw: DrawFn) -> str:
    freq = draw(st.sampled_from(["HOURLY", "MINUTELY"]))
    parts = {
        "BYHOUR": numbers(0, 23, most=6),
        "BYMINUTE": numbers(0, 59),
        "BYDAY": weekdays(),
        "BYMONTH": numbers(1, 12, most=6),
        "BYSECOND": numbers(0, 59, most=2),
    }
    return draw(assembled(freq, parts, st.integers(1, 90)))


@st.composite
def assembled(
    draw: DrawFn, freq: str, parts: dict[str, st.SearchStrategy[str]], interval: st.SearchStrategy[int]
) -> str:
    names = draw(st.sets(st.sampled_from(sorted(parts)), max_size=3))
    texts = [f"FREQ={freq}", f"INTERVAL={draw(interval)}", *(f"{name}={draw(parts[name])}" for name in sorted(names))]
    if names - {"WKST"} and draw(st.booleans()):
        texts.append(f"BYSETPOS={draw(numbers(1, 6, signed=True, most=2))}")
    return ";".join(texts)


def made(rule: str, start: datetime, zone: str, *, skip: bool = False) -> Series:
    """Return the series, or give the example up when the rule is one that is refused."""
    try:
        return series_of(rule, start.isoformat(), zone, dst_gap="skip" if skip else "shift")
    except InvalidSchedule:
        assume(False)
        raise


def found_until(series: Series, until: datetime) -> list[datetime]:
    found: list[datetime] = []
    for occurrence in islice(series.occurrences(), 300):
        if occurrence.scheduled_at > until:
            break
        found.append(occurrence.scheduled_at)
    return found


@given(rule=wall_rules(), start=STARTS | NEAR_CHANGES, zone=ZONES, skip=st.booleans())
@settings(max_examples=150, deadline=None)
def test_wall_clock_rules_give_what_a_slow_expansion_gives(
    rule: str, start: datetime, zone: str, *, skip: bool
) -> None:
    series = made(rule, start, zone, skip=skip)
    start_at = series.start_at

    times = brute.wall_clock(parse_rule(rule), start, (start + YEARS).date())
    expected = [at for at in brute.resolved(times, zone_of(zone), skip=skip) if at >= start_at][:300]

    found = found_until(series, start_at + YEARS - timedelta(days=2))
    assert found == expected[: len(found)]
    assert len(found) >= len([at for at in expected if at < start_at + YEARS - timedelta(days=3)])


@given(rule=elapsed_rules(), start=STARTS | NEAR_CHANGES, zone=ZONES)
@settings(max_examples=100, deadline=None)
def test_elapsed_rules_give_what_a_slow_expansion_gives(rule: str, start: datetime, zone: str) -> None:
    series = made(rule, start, zone)
    until = series.start_at + timedelta(days=2)

    expected = brute.elapsed(parse_rule(rule), series.start_at, zone_of(zone), until)

    assert found_until(series, until) == expected[:300]


@given(rule=wall_rules() | elapsed_rules(), start=STARTS)
@settings(max_examples=150, deadline=None)
def test_dateutil_agrees_where_it_is_right(rule: str, start: datetime) -> None:
    assume("BYWEEKNO" not in rule)
    parsed = parse_rule(rule)
    mixed = len({bool(day.nth) for day in parsed.by_day}) > 1
    assume(not mixed and not ("WEEKLY" in rule and parsed.by_set_pos))
    assume(not ("FREQ=YEARLY" in rule and parsed.by_month_day and not parsed.by_month))
    series = made(rule, start, "UTC")

    found = [o.scheduled_at.replace(tzinfo=None) for o in islice(series.occurrences(start.replace(tzinfo=UTC)), 10)]
    near = [at for at in found if at < start + 10 * YEARS]

    wkst = "" if "WKST" in rule else ";WKST=MO"
    oracle = dateutil.rrulestr(rule + wkst, dtstart=start)
    assert isinstance(oracle, dateutil.rrule)
    assert near == list(islice(oracle, len(near)))


@given(rule=wall_rules() | elapsed_rules(), start=STARTS | NEAR_CHANGES, zone=ZONES, later=st.integers(0, 10**8))
@settings(max_examples=150, deadline=None)
def test_next_after_is_the_first_of_what_is_listed_from_there(
    rule: str, start: datetime, zone: str, later: int
) -> None:
    series = made(rule, start, zone)
    instant = series.start_at + timedelta(seconds=later)

    listed = list(islice(series.occurrences(instant), 5))
    at = [occurrence.scheduled_at for occurrence in listed]

    assert all(before < after for before, after in pairwise(at))
    assert all(o.scheduled_at >= instant for o in listed)
    for before, after in pairwise(listed):
        assert series.next_after(before.scheduled_at) == after
        assert series.next_after(after.scheduled_at, inclusive=True) == after
    if listed:
        assert series.next_after(instant - timedelta(microseconds=1)) == listed[0]


@given(rule=wall_rules(), start=STARTS, count=st.integers(1, 30), zone=ZONES)
@settings(max_examples=100, deadline=None)
def test_count_ends_a_rule_after_that_many(rule: str, start: datetime, count: int, zone: str) -> None:
    endless = made(rule, start, zone)
    expected = [o.scheduled_at for o in islice(endless.occurrences(), count)]

    counted = made(f"{rule};COUNT={count}", start, zone)

    assert [o.scheduled_at for o in counted.occurrences()] == expected


@given(rule=wall_rules(), start=STARTS, zone=ZONES, picked=st.sets(st.integers(0, 9), min_size=1))
@settings(max_examples=50, deadline=None)
def test_an_exdate_never_comes_and_shifts_nothing_else(rule: str, start: datetime, zone: str, picked: set[int]) -> None:
    series = made(rule, start, zone)
    listed = [o.scheduled_at for o in islice(series.occurrences(), 10)]
    excluded = [at for n, at in enumerate(listed) if n in picked]

    less = series_of(rule, start.isoformat(), zone, exdates=[at.isoformat() for at in excluded])

    kept = [at for at in listed if at not in excluded]
    assert [o.scheduled_at for o in islice(less.occurrences(), len(kept))] == kept


@given(rule=wall_rules() | elapsed_rules())
@settings(max_examples=200, deadline=None)
def test_a_normalised_rule_reads_back_as_itself(rule: str) -> None:
    try:
        parsed = parse_rule(rule)
    except InvalidSchedule:
        return

    assert parse_rule(str(parsed)) == parsed
    assert str(parse_rule(str(parsed))) == str(parsed)


def test_the_slow_expansion_knows_the_first_friday() -> None:
    times = brute.wall_clock(
        parse_rule("FREQ=MONTHLY;BYDAY=1FR"), datetime.fromisoformat("1997-09-05T09:00"), date(1997, 12, 31)
    )

    assert [moment.day for moment in times] == [5, 3, 7, 5]
