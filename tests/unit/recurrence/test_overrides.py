from __future__ import annotations

from itertools import islice

import pytest

from shared.errors import InvalidSchedule
from shared.recurrence import Overridden, Override, find, nearest, resolve
from tests.unit.recurrence.making import series_of, text, utc

DAILY = series_of("FREQ=DAILY", "2026-11-24T09:00", "America/New_York")
MOVED = Override(scheduled_at=utc("2026-11-24T20:00:00Z"))


def times(overridden: Overridden, number: int) -> list[str]:
    return [text(occurrence.scheduled_at) for occurrence in islice(overridden.occurrences(), number)]


def test_an_excluded_occurrence_does_not_come() -> None:
    overridden = Overridden(series=DAILY, overrides={"2026-11-25T09:00:00": Override(excluded=True)})

    assert times(overridden, 2) == ["2026-11-24T14:00:00Z", "2026-11-26T14:00:00Z"]


def test_a_moved_occurrence_comes_at_its_new_time_and_keeps_its_id() -> None:
    overridden = Overridden(series=DAILY, overrides={"2026-11-26T09:00:00": MOVED})

    found = overridden.next_after(DAILY.start_at)

    assert found is not None
    assert (found.recurrence_id, found.flags) == ("2026-11-26T09:00:00", ("moved",))
    assert (text(found.scheduled_at), text(found.original_at)) == ("2026-11-24T20:00:00Z", "2026-11-26T14:00:00Z")
    assert found.local.isoformat() == "2026-11-24T15:00:00-05:00"
    assert times(overridden, 3) == ["2026-11-24T14:00:00Z", "2026-11-24T20:00:00Z", "2026-11-25T14:00:00Z"]


def test_two_occurrences_at_one_instant_both_come() -> None:
    onto = Override(scheduled_at=utc("2026-11-24T14:00:00Z"))

    overridden = Overridden(series=DAILY, overrides={"2026-11-25T09:00:00": onto})

    assert times(overridden, 3) == ["2026-11-24T14:00:00Z", "2026-11-24T14:00:00Z", "2026-11-26T14:00:00Z"]


def test_the_chain_of_the_rule_passes_over_what_is_moved() -> None:
    overridden = Overridden(series=DAILY, overrides={"2026-11-25T09:00:00": MOVED})

    ids = [occurrence.recurrence_id for occurrence in islice(overridden.in_place(), 2)]

    assert ids == ["2026-11-24T09:00:00", "2026-11-26T09:00:00"]


def test_an_override_that_changes_no_time_leaves_the_time_alone() -> None:
    overridden = Overridden(series=DAILY, overrides={"2026-11-25T09:00:00": Override()})

    assert times(overridden, 2) == ["2026-11-24T14:00:00Z", "2026-11-25T14:00:00Z"]


def test_an_orphan_is_reported_and_never_comes() -> None:
    overridden = Overridden(series=DAILY, overrides={"2026-11-25T10:00:00": MOVED, "nonsense": MOVED})

    assert overridden.orphans == ("2026-11-25T10:00:00", "nonsense")
    assert times(overridden, 2) == ["2026-11-24T14:00:00Z", "2026-11-25T14:00:00Z"]


def test_an_exdate_beats_an_override() -> None:
    series = series_of("FREQ=DAILY", "2026-11-24T09:00", exdates=["2026-11-25T09:00Z"])

    overridden = Overridden(series=series, overrides={"2026-11-25T09:00:00": MOVED})

    assert overridden.orphans == ("2026-11-25T09:00:00",)
    assert times(overridden, 2) == ["2026-11-24T09:00:00Z", "2026-11-26T09:00:00Z"]


@pytest.mark.parametrize("name", ["2026-11-25T09:00:00", "2026-11-25T14:00:00Z", "2026-11-25T15:00:00+01:00"])
def test_an_occurrence_is_found_by_its_local_start_or_by_its_instant(name: str) -> None:
    found = find(DAILY, name)

    assert found is not None
    assert found.recurrence_id == "2026-11-25T09:00:00"


def test_both_passes_of_an_hour_are_found_by_their_ids() -> None:
    series = series_of("FREQ=HOURLY", "2026-11-01T00:00", "America/New_York")

    for occurrence in islice(series.occurrences(), 4):
        assert find(series, occurrence.recurrence_id) == occurrence


def test_a_shifted_occurrence_is_found_by_the_time_it_never_had() -> None:
    series = series_of("FREQ=DAILY", "2026-03-01T02:30", "America/New_York")

    found = find(series, "2026-03-08T02:30:00")

    assert found is not None
    assert found.flags == ("dst_adjusted",)


@pytest.mark.parametrize(
    "name", ["", "tomorrow", "0001-01-01T00:00:00", "9999-12-31T23:59:59-12:00", "2026-11-25T09:01"]
)
def test_what_is_no_occurrence_is_refused_with_the_nearest_three(name: str) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        resolve(DAILY, name)

    assert refused.value.part == "recurrence_id"
    assert len(nearest(DAILY, DAILY.start_at)) == 3
    assert find(DAILY, refused.value.example) is not None


def test_the_nearest_three_lie_on_both_sides() -> None:
    assert nearest(DAILY, utc("2030-01-01T15:00:00Z")) == [
        "2029-12-31T09:00:00",
        "2030-01-01T09:00:00",
        "2030-01-02T09:00:00",
    ]


def test_the_nearest_to_a_time_before_the_start_are_the_first_three() -> None:
    assert nearest(DAILY, utc("2020-01-01T00:00:00Z")) == [
        "2026-11-24T09:00:00",
        "2026-11-25T09:00:00",
        "2026-11-26T09:00:00",
    ]


def test_the_moved_ones_are_known_by_their_new_times() -> None:
    overrides = {"2026-11-26T09:00:00": MOVED, "2026-11-25T09:00:00": Override(excluded=True), "nonsense": MOVED}

    [moved] = Overridden(series=DAILY, overrides=overrides).moved

    assert (moved.recurrence_id, text(moved.scheduled_at)) == ("2026-11-26T09:00:00", "2026-11-24T20:00:00Z")


def test_the_nearest_to_an_instant_far_beyond_the_end_are_the_last_three() -> None:
    ended = series_of("FREQ=MINUTELY;UNTIL=20401231T000000Z", "2026-11-24T09:00")

    assert nearest(ended, utc("9998-01-01T00:00:00Z")) == [
        f"2040-12-{at}" for at in ("30T23:58:00", "30T23:59:00", "31T00:00:00")
    ]
