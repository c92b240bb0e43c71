from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.recurrence.making import instants, locals_, series_of, text


def test_a_filter_on_the_hour_leaves_the_steps_where_they_are() -> None:
    series = series_of("FREQ=MINUTELY;INTERVAL=25;BYHOUR=9", "2026-11-24T09:00")

    assert locals_(series, 4) == ["2026-11-24 09:00", "2026-11-24 09:25", "2026-11-24 09:50", "2026-11-25 09:10"]


def test_a_finer_part_fills_the_whole_of_each_step() -> None:
    series = series_of("FREQ=HOURLY;INTERVAL=2;BYMINUTE=0,45", "2026-11-24T09:30")

    assert locals_(series, 3) == ["2026-11-24 09:45", "2026-11-24 11:00", "2026-11-24 11:45"]


def test_setpos_chooses_within_one_step() -> None:
    series = series_of("FREQ=HOURLY;BYMINUTE=0,15,30,45;BYSETPOS=2,-1", "2026-11-24T09:00")

    assert locals_(series, 3) == ["2026-11-24 09:15", "2026-11-24 09:45", "2026-11-24 10:15"]


def test_minutes_of_the_hour_are_those_of_the_local_clock() -> None:
    series = series_of("FREQ=HOURLY;BYMINUTE=0", "2026-11-24T09:00", "Asia/Kolkata")

    assert instants(series, 2) == ["2026-11-24T03:30:00Z", "2026-11-24T04:30:00Z"]


def test_steps_go_on_in_elapsed_time_over_a_gap() -> None:
    series = series_of("FREQ=HOURLY;INTERVAL=6", "2023-03-25T20:00", "Europe/Zurich")

    assert locals_(series, 3) == ["2023-03-25 20:00", "2023-03-26 03:00", "2023-03-26 09:00"]


def test_an_hour_only_one_season_meets_waits_for_that_season() -> None:
    series = series_of("FREQ=HOURLY;INTERVAL=2;BYHOUR=9", "2026-07-01T08:00", "America/New_York")

    assert locals_(series, 1) == ["2026-11-01 09:00"]


def test_a_window_across_a_change_of_half_an_hour_is_filled_from_both_sides() -> None:
    series = series_of("FREQ=HOURLY;BYMINUTE=0,15,30,45", "2026-04-05T01:00", "Australia/Lord_Howe")

    found = instants(series, 8)

    assert found == [text(series.start_at + timedelta(minutes=15 * n)) for n in range(8)]


@pytest.mark.parametrize(
    ("rule", "start", "expected"),
    [
        ("FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=29;BYHOUR=0;BYMINUTE=0;BYSECOND=0",
         "2024-03-01T09:00", "2028-02-29 00:00"),
        ("FREQ=SECONDLY;INTERVAL=86399;BYHOUR=0;BYMINUTE=0;BYSECOND=0", "2024-01-01T12:00", "2142-04-12 00:00"),
        ("FREQ=HOURLY;INTERVAL=5;BYHOUR=3;BYDAY=SU;BYMONTH=2", "2026-11-24T00:00", "2028-02-20 03:00"),
    ],
)  # fmt: skip
def test_a_rare_match_is_found(rule: str, start: str, expected: str) -> None:
    assert locals_(series_of(rule, start), 1) == [expected]
