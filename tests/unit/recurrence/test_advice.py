from __future__ import annotations

import pytest

from shared.recurrence import warnings
from tests.unit.recurrence.making import series_of


def test_a_plain_series_is_left_alone() -> None:
    assert warnings(series_of("FREQ=WEEKLY;BYDAY=TU", "2026-11-24T09:00", "America/New_York")) == []
    assert warnings(series_of(None, "2026-11-24T09:00")) == []


def test_a_start_off_the_rule_is_named_with_what_comes_first_instead() -> None:
    [warning] = warnings(series_of("FREQ=WEEKLY;BYDAY=MO", "2026-11-24T09:00"))

    assert "2026-11-24T09:00:00 does not match the rule" in warning
    assert "2026-11-30T09:00:00+00:00" in warning


def test_a_start_off_an_elapsed_rule_is_named_too() -> None:
    [warning] = warnings(series_of("FREQ=HOURLY;BYMINUTE=0", "2026-11-24T09:30"))

    assert "does not match the rule" in warning


def test_a_yearly_month_day_without_a_month_is_explained() -> None:
    [warning] = warnings(series_of("FREQ=YEARLY;BYMONTHDAY=24", "2026-11-24T09:00"))

    assert "November" in warning


def test_months_that_lack_the_day_are_mentioned() -> None:
    [warning] = warnings(series_of("FREQ=MONTHLY", "2026-10-31T09:00"))

    assert "day 31" in warning


def test_exdates_that_match_nothing_are_listed() -> None:
    exdates = ["2026-11-25T09:00Z", "2026-11-25T10:00Z", "2026-11-26T10:00Z"]

    [warning] = warnings(series_of("FREQ=DAILY", "2026-11-24T09:00", exdates=exdates, rdates=["2026-11-26T10:00Z"]))

    assert warning == "exdate 2026-11-25T10:00:00Z matches no occurrence"


def test_a_series_emptied_by_exdates_says_so() -> None:
    warned = warnings(series_of("FREQ=DAILY;COUNT=1", "2026-11-24T09:00", exdates=["2026-11-24T09:00Z"]))

    assert warned == ["the exdates leave no occurrence"]


@pytest.mark.parametrize(
    ("start", "zone"), [("2026-03-08T02:30", "America/New_York"), ("2011-12-30T12:00", "Pacific/Apia")]
)
def test_a_single_time_that_the_clock_never_shows_is_mentioned(start: str, zone: str) -> None:
    [warning] = warnings(series_of(None, start, zone))

    assert f"{start}:00" in warning


@pytest.mark.parametrize("start", ["2026-11-01T01:30", "2026-11-01T01:30-05:00"])
def test_a_single_time_that_the_clock_shows_twice_is_no_mistake(start: str) -> None:
    assert warnings(series_of(None, start, "America/New_York")) == []
