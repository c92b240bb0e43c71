from __future__ import annotations

from itertools import pairwise

import pytest

from shared.recurrence.times import Times, chosen

SETS = [
    Times((9,), (0,), (0,)),
    Times((0,), (0,), (0,)),
    Times((0, 9, 23), (0, 30, 59), (0, 59)),
    Times((5,), (10, 20), (30,)),
    Times(range(24), range(0, 60, 7), (15, 16)),
]


@pytest.mark.parametrize("times", SETS)
def test_positions_and_times_are_two_ways_of_saying_one_thing(times: Times) -> None:
    listed = [h * 3600 + m * 60 + s for h in times.hours for m in times.minutes for s in times.seconds]

    assert [times.at(place) for place in range(times.size)] == listed
    for time in range(0, 86_400, 17):
        assert times.position(time) == sum(other < time for other in listed)


@pytest.mark.parametrize("times", SETS)
def test_the_mask_has_a_one_where_a_time_is_permitted(times: Times) -> None:
    mask = times.mask()

    assert len(mask) == 86_400
    assert [second for second in range(86_400) if mask[second]] == [times.at(place) for place in range(times.size)]


@pytest.mark.parametrize("times", SETS)
def test_the_closest_two_times_are_found_without_listing_them(times: Times) -> None:
    two_days = [day + times.at(place) for day in (0, 86_400) for place in range(times.size)]

    assert times.closest() == min(after - before for before, after in pairwise(two_days))


def test_setpos_counts_from_both_ends_and_passes_over_what_is_not_there() -> None:
    assert chosen((-1, 1, 2, -9, 9), 3) == [0, 1, 2]
    assert chosen((3, -3), 2) == []
