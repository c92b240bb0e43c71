from __future__ import annotations

from datetime import date

import pytest

from tests.unit.recurrence.making import locals_, series_of


def test_setpos_counts_from_the_start_of_the_interval_and_not_of_the_rule() -> None:
    series = series_of("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1,-1", "2026-11-25T09:00")

    assert locals_(series, 3) == ["2026-11-27 09:00", "2026-11-30 09:00", "2026-12-04 09:00"]


def test_setpos_chooses_among_days_and_times_together() -> None:
    series = series_of("FREQ=MONTHLY;BYDAY=MO;BYHOUR=9,17;BYSETPOS=2,-2", "2026-11-01T00:00")

    assert locals_(series, 4) == ["2026-11-02 17:00", "2026-11-30 09:00", "2026-12-07 17:00", "2026-12-28 09:00"]


def test_plain_and_numbered_weekdays_add_up() -> None:
    series = series_of("FREQ=MONTHLY;BYDAY=2TU,SU", "2026-11-01T09:00")

    assert [day[8:10] for day in locals_(series, 6)] == ["01", "08", "10", "15", "22", "29"]


def test_a_month_that_lacks_the_day_is_passed_over() -> None:
    series = series_of("FREQ=MONTHLY", "2026-01-31T09:00")

    assert [day[5:10] for day in locals_(series, 4)] == ["01-31", "03-31", "05-31", "07-31"]


def test_a_week_number_without_a_weekday_takes_the_start_s_weekday() -> None:
    series = series_of("FREQ=YEARLY;BYWEEKNO=20", "2026-01-01T09:00")

    assert locals_(series, 2) == ["2026-05-14 09:00", "2027-05-20 09:00"]


def test_the_days_of_week_53_around_new_year_are_in_week_53() -> None:
    series = series_of("FREQ=YEARLY;BYWEEKNO=53;BYDAY=FR,SA", "2026-12-01T09:00")

    assert locals_(series, 2) == ["2027-01-01 09:00", "2027-01-02 09:00"]


@pytest.mark.parametrize(
    ("rule", "start", "expected"),
    [
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", "2024-03-01T09:00", "2044-02-29 09:00"),
        ("FREQ=WEEKLY;INTERVAL=52;BYMONTH=11", "2015-07-01T09:00", "2185-11-30 09:00"),
        ("FREQ=YEARLY;INTERVAL=100;BYMONTH=2;BYMONTHDAY=29", "2100-01-01T09:00", "2400-02-29 09:00"),
        ("FREQ=YEARLY;INTERVAL=7000", "2026-01-01T09:00", "2026-01-01 09:00"),
    ],
)
def test_a_rare_match_is_found(rule: str, start: str, expected: str) -> None:
    assert locals_(series_of(rule, start), 1) == [expected]


def test_an_interval_of_centuries_goes_on_to_the_end_of_the_calendar() -> None:
    series = series_of("FREQ=YEARLY;INTERVAL=3000", "2026-01-01T09:00")

    assert [o.local.year for o in series.occurrences()] == [2026, 5026, 8026]


@pytest.mark.parametrize("years", [1, 10, 1000])
def test_the_phase_of_an_interval_never_drifts(years: int) -> None:
    series = series_of("FREQ=DAILY;INTERVAL=3", "2026-11-24T09:00")
    later = series.start_at.replace(year=2026 + years)

    found = series.next_after(later)

    assert found is not None
    assert (found.local.date() - date(2026, 11, 24)).days % 3 == 0
    assert 0 < (found.local.date() - later.date()).days <= 3
