from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import durations


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PT15M", timedelta(minutes=15)),
        ("P7D", timedelta(days=7)),
        ("P1W", timedelta(weeks=1)),
        ("PT0.5S", timedelta(milliseconds=500)),
        ("PT0.000001S", timedelta(microseconds=1)),
        ("PT0S", timedelta(0)),
        ("PT36H", timedelta(hours=36)),
        ("P1DT12H", timedelta(days=1, hours=12)),
        ("P1W2DT3H4M5.25S", timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5.25)),
        ("PT86400S", timedelta(days=1)),
    ],
)
def test_a_duration_is_what_iso_8601_says(text: str, expected: timedelta) -> None:
    assert durations.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "P", "PT", "P1DT", "T1H", "1H", "P1Y", "P1M", "P1Y2M", "PT1D", "P1H", "pt1h", "P-1D", "-P1D", "+P1D",
        "PT1.S", "PT.5S", "PT1.5M", "PT1S ", " PT1S", "PT1S\n", "PT1M1H", "P1D1W", "PT1,5S", "P1.5D", "PT\u0661S",
        "15", "15m", "PT1e3S", "PT99999999999S", "P9999999D", "0:15:00",
    ],
)  # fmt: skip
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an ISO 8601 duration"):
        durations.parse(text)


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_parts_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    text = f"P{days}DT{hours}H{minutes}M{seconds}S"

    assert durations.parse(text) == timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


@given(st.text() | st.from_regex(r"P[0-9WDTHMS.]*", fullmatch=True))
def test_any_text_is_a_duration_that_is_not_negative_or_a_value_error(text: str) -> None:
    try:
        duration = durations.parse(text)
    except ValueError:
        return
    assert duration >= timedelta(0)
    assert text.startswith("P")


def test_a_long_text_is_not_repeated_whole_in_the_error() -> None:
    with pytest.raises(ValueError, match="is not an ISO 8601 duration") as refused:
        durations.parse("x" * 10_000)

    assert len(str(refused.value)) < 100
