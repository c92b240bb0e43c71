"""What a bucket's state means to a caller."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.limits import Limit, Taken

USUAL = Limit(bucket=100, refill=10)
SECOND = 1_000_000


@pytest.mark.parametrize(
    ("until_full", "remaining", "reset"),
    [
        (0, 100, 0),
        (1, 99, 1),
        (SECOND // 10, 99, 1),
        (SECOND // 10 + 1, 98, 1),
        (SECOND, 90, 1),
        (SECOND + 1, 89, 2),
        (10 * SECOND - 1, 0, 10),
        (10 * SECOND, 0, 10),
        (11 * SECOND, 0, 11),
    ],
)
def test_what_is_left_is_rounded_down_and_the_wait_until_full_up(until_full: int, remaining: int, reset: int) -> None:
    taken = Taken(admitted=True, until_full=until_full)

    assert (taken.remaining(USUAL), taken.seconds_until_full()) == (remaining, reset)


@pytest.mark.parametrize(("refill", "seconds"), [(10, 1), (1, 1), (0.5, 2), (0.4, 3), (0.001, 1000)])
def test_who_is_refused_by_an_empty_bucket_waits_for_the_next_refill_and_a_second_at_least(
    refill: float, seconds: int
) -> None:
    limit = Limit(bucket=100, refill=refill)

    assert Taken(admitted=False, until_full=limit.capacity).seconds_until_next(limit) == seconds


@given(bucket=st.integers(1, 1_000_000), refill=st.floats(0.001, 10_000), part=st.floats(0, 1))
def test_a_caller_who_waits_as_told_finds_a_request_in_the_bucket(bucket: int, refill: float, part: float) -> None:
    limit = Limit(bucket=bucket, refill=refill)
    refused = Taken(admitted=False, until_full=limit.capacity - int(part * (limit.interval - 1)))
    waited = refused.seconds_until_next(limit) * SECOND

    later = Taken(admitted=True, until_full=max(0, refused.until_full - waited))

    assert refused.remaining(limit) == 0
    assert later.remaining(limit) >= 1


@given(refill=st.floats(0.001, 10_000))
def test_the_rate_is_the_one_asked_for_within_half_a_percent(refill: float) -> None:
    assert SECOND / Limit(bucket=1, refill=refill).interval == pytest.approx(refill, rel=0.005)
