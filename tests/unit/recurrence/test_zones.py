from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.errors import InvalidSchedule
from shared.recurrence import TZDATA_VERSION, zone_of
from shared.recurrence.zones import instant_of, names, seconds_of, span_at

PLACES = [
    "America/New_York",
    "Europe/London",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Africa/Casablanca",
    "Asia/Gaza",
]


@pytest.mark.parametrize(
    "name",
    ["", " ", "../x", "../../etc/passwd", "a\0b", "America", "/etc/localtime", "x" * 5_000, "utc+2", "\u017f", "é"],
)
def test_what_is_no_zone_is_refused_with_an_example_that_is_one(name: str) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        zone_of(name)

    assert refused.value.part == "timezone"
    assert zone_of(refused.value.example).key == refused.value.example


@pytest.mark.parametrize(
    ("name", "meant"),
    [("america/new_york", "America/New_York"), ("Berlin", "Europe/Berlin"), ("Europe/Lodon", "Europe/London")],
)
def test_a_near_miss_is_answered_with_what_was_meant(name: str, meant: str) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        zone_of(name)

    assert refused.value.example == meant


def test_every_zone_of_the_package_can_be_read() -> None:
    assert len(names()) > 590
    assert all(zone_of(name).key == name for name in names())


def test_zones_come_from_the_package_whatever_the_system_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONTZPATH", str(tmp_path))
    zone_of.cache_clear()

    assert datetime(2026, 7, 1, tzinfo=zone_of("Europe/Paris")).utcoffset() is not None
    assert TZDATA_VERSION >= "2026"


@pytest.mark.parametrize("zone", PLACES)
@pytest.mark.parametrize("year", [1950, 2026, 2040, 2086, 2101, 2150, 2400, 3999])
def test_a_span_has_one_offset_and_neighbours_with_another(zone: str, year: int) -> None:
    instant, end = (seconds_of(datetime(y, 1, 1, tzinfo=UTC)) for y in (year, year + 1))
    while instant < end:
        span = span_at(zone, instant)
        assert span.start <= instant < span.end
        for at in range(instant, min(span.end, end), 40_000):
            assert offset_at(zone, at) == span.offset
        assert offset_at(zone, span.end - 1) == span.offset
        assert offset_at(zone, span.start - 1) == span.before
        instant = span.end


def test_the_two_closest_changes_of_any_zone_are_told_apart() -> None:
    spans = {span_at("Asia/Gaza", seconds_of(datetime(2040, 10, day, 12, tzinfo=UTC))) for day in range(10, 31)}

    assert sorted(span.offset for span in spans) == [7_200, 7_200, 10_800]


def test_a_local_time_in_a_gap_is_read_by_the_offset_before_it() -> None:
    assert instant_of(datetime.fromisoformat("2026-03-08T02:30"), "America/New_York") == datetime(
        2026, 3, 8, 7, 30, tzinfo=UTC
    )


def offset_at(zone: str, instant: int) -> int:
    offset = datetime.fromtimestamp(instant, zone_of(zone)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())
