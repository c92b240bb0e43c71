from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from time import process_time

import pytest

from shared.errors import InvalidSchedule
from shared.recurrence import parse_rule
from tests import costs
from tests.unit.recurrence.making import first, series_of

MINUTE = timedelta(minutes=1)
FULL = f"BYHOUR={','.join(map(str, range(24)))};BYMINUTE={','.join(map(str, range(60)))}"
NEVER = [
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29",
    "FREQ=DAILY;INTERVAL=7;BYDAY=SU",
    "FREQ=DAILY;BYDAY=MO;BYSETPOS=2",
    "FREQ=MONTHLY;BYDAY=2TU;BYSETPOS=2",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=24",
    "FREQ=MONTHLY;INTERVAL=12;BYMONTH=6",
    "FREQ=HOURLY;INTERVAL=168;BYDAY=SU",
    "FREQ=MINUTELY;INTERVAL=30;BYMINUTE=15",
    "FREQ=SECONDLY;BYSECOND=0,30;BYSETPOS=-2",
    "FREQ=DAILY;UNTIL=20200101T000000Z",
]
COSTLY = [
    *NEVER,
    f"FREQ=YEARLY;{FULL};BYSECOND={','.join(map(str, range(60)))}",
    f"FREQ=YEARLY;BYDAY=MO,TU;{FULL};BYSETPOS=-1,1,366",
    f"FREQ=SECONDLY;{FULL}",
    "FREQ=SECONDLY;INTERVAL=86399;BYHOUR=0;BYMINUTE=0;BYSECOND=0",
    "FREQ=SECONDLY;INTERVAL=604799;BYDAY=SU",
    "FREQ=SECONDLY;INTERVAL=9999999999;BYSECOND=0",
    "FREQ=MINUTELY;INTERVAL=1439;BYSECOND=1,2,3;BYMONTHDAY=31;BYMONTH=12",
    "FREQ=YEARLY;INTERVAL=9999999999;BYDAY=53MO",
    "FREQ=DAILY;COUNT=1000000000",
    "FREQ=YEARLY;BYMONTH=3;BYDAY=2SU;BYHOUR=2;COUNT=9999",
]


@pytest.mark.parametrize("rule", NEVER)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_rule_that_never_matches_is_empty(rule: str, zone: str) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        series_of(rule, "2026-01-01T09:00", zone)

    assert refused.value.code == "empty_recurrence"
    parse_rule(refused.value.example)


@pytest.mark.parametrize("rule", COSTLY)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_no_rule_costs_more_than_a_quarter_of_a_second(rule: str, zone: str) -> None:
    began = process_time()

    with suppress(InvalidSchedule):
        first(series_of(rule, "2026-01-01T09:00", zone), 10)

    # Four times what is promised: the machine that runs the tests may be busy.
    assert costs.is_cheap(process_time() - began, bound=1)


def test_a_rule_that_hits_only_gaps_that_are_skipped_is_empty() -> None:
    rule = "FREQ=YEARLY;BYMONTH=3;BYDAY=2SU;BYHOUR=2;BYMINUTE=30"

    with pytest.raises(InvalidSchedule) as refused:
        series_of(rule, "2026-01-01T09:00", "America/New_York", dst_gap="skip")

    assert refused.value.code == "empty_recurrence"


def test_a_single_time_in_a_skipped_gap_is_empty() -> None:
    with pytest.raises(InvalidSchedule) as refused:
        series_of(None, "2026-03-08T02:30", "America/New_York", dst_gap="skip")

    assert (refused.value.code, refused.value.part) == ("empty_recurrence", "start_time")


def test_exdates_do_not_make_a_rule_empty() -> None:
    series = series_of("FREQ=DAILY;COUNT=1", "2026-01-01T09:00", exdates=["2026-01-01T09:00Z"])

    assert first(series, 1) == []


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=SECONDLY",
        "FREQ=SECONDLY;INTERVAL=59",
        "FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0,30",
        "FREQ=DAILY;BYHOUR=0,23;BYMINUTE=0,59;BYSECOND=0,30",
        "FREQ=MINUTELY;BYSECOND=0,59",
        "FREQ=HOURLY;BYSECOND=0,1",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYSECOND=0,1",
        "FREQ=SECONDLY;BYSECOND=0,10",
    ],
)
def test_occurrences_closer_than_the_minimum_are_refused(rule: str) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        series_of(rule, "2026-01-01T09:00", min_interval=MINUTE)

    assert refused.value.code == "interval_too_short"
    series_of(refused.value.example, "2026-01-01T09:00", min_interval=MINUTE)


@pytest.mark.parametrize(
    ("rule", "minimum"),
    [
        ("FREQ=MINUTELY", MINUTE),
        ("FREQ=SECONDLY;INTERVAL=60", MINUTE),
        ("FREQ=SECONDLY;BYSECOND=0", MINUTE),
        ("FREQ=SECONDLY;COUNT=1", MINUTE),
        ("FREQ=DAILY;BYHOUR=0,23;BYMINUTE=0;BYSETPOS=1", timedelta(hours=2)),
        ("FREQ=WEEKLY;BYDAY=MO,WE", timedelta(days=2)),
        ("FREQ=WEEKLY;BYDAY=MO;BYHOUR=0,12,23", timedelta(hours=11)),
        ("FREQ=HOURLY;BYMINUTE=0,30", timedelta(minutes=30)),
    ],
)
def test_the_minimum_is_measured_on_the_instants_and_not_on_freq(rule: str, minimum: timedelta) -> None:
    assert first(series_of(rule, "2026-01-05T00:00", min_interval=minimum), 1)


def test_rdates_may_come_as_close_as_they_like() -> None:
    series = series_of("FREQ=DAILY", "2026-01-01T09:00", rdates=["2026-01-01T09:00:01Z"], min_interval=MINUTE)

    assert len(first(series, 2)) == 2


@pytest.mark.parametrize("start", ["1700-01-01T09:00", "9999-12-31T09:00"])
def test_a_start_beyond_the_calendar_is_refused(start: str) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        series_of("FREQ=DAILY", start)

    assert refused.value.part == "start_time"


def test_too_many_dates_are_refused() -> None:
    day = datetime.fromisoformat("2026-01-01T00:00")
    many = [(day + timedelta(days=n)).isoformat() for n in range(1_001)]

    with pytest.raises(InvalidSchedule) as refused:
        series_of("FREQ=DAILY", "2026-01-01T09:00", exdates=many)

    assert refused.value.part == "exdates"
