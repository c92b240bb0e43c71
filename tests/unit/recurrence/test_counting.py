from __future__ import annotations

from datetime import timedelta

import pytest

from shared.errors import InvalidSchedule
from shared.recurrence import total
from tests.unit.recurrence.making import instants, series_of, text


def test_count_becomes_the_instant_of_the_last_one() -> None:
    series = series_of("FREQ=DAILY;COUNT=10", "2026-11-24T09:00", "America/New_York")

    assert series.effective_until is not None
    assert text(series.effective_until) == "2026-12-03T14:00:00Z"


def test_a_million_steps_of_a_minute_are_counted_by_arithmetic() -> None:
    series = series_of("FREQ=MINUTELY;COUNT=1000000", "2026-11-24T09:00", "America/New_York")

    assert series.effective_until == series.start_at + timedelta(minutes=999_999)
    assert total(series) == 1_000_000


def test_a_count_that_would_take_too_long_to_walk_is_refused() -> None:
    with pytest.raises(InvalidSchedule) as refused:
        series_of("FREQ=HOURLY;BYMINUTE=0,30;COUNT=1000000", "2026-11-24T09:00")

    assert refused.value.part == "COUNT"


def test_a_count_that_outlives_everybody_is_no_limit() -> None:
    assert series_of("FREQ=DAILY;COUNT=1000000000", "2026-11-24T09:00").effective_until is None


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (None, 1),
        ("FREQ=DAILY", None),
        ("FREQ=DAILY;COUNT=10", 10),
        ("FREQ=DAILY;UNTIL=20261130T090000Z", 7),
        ("FREQ=MINUTELY;UNTIL=20271124T085900Z", 365 * 24 * 60),
        ("FREQ=MINUTELY;INTERVAL=5;BYHOUR=9;UNTIL=20991124T085900Z", None),
    ],
)
def test_the_total_is_counted_where_there_is_an_end(rule: str | None, expected: int | None) -> None:
    assert total(series_of(rule, "2026-11-24T09:00")) == expected


def test_the_total_is_of_what_would_happen() -> None:
    series = series_of(
        "FREQ=DAILY;COUNT=5",
        "2026-11-24T09:00",
        rdates=["2026-11-24T09:00Z", "2026-11-24T10:00Z", "2026-11-24T11:00Z"],
        exdates=["2026-11-25T09:00Z", "2026-11-24T11:00Z", "2030-01-01T00:00Z"],
    )

    assert total(series) == 5 - 1 + 1 == len(instants(series, 100))
