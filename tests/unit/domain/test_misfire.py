from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import misfire
from shared.domain.content import Misfire, MisfirePolicy
from tests.factories import DAY, MINUTE, NOON


def minutely(count: int, *, until: datetime = NOON) -> list[datetime]:
    return [until - n * MINUTE for n in reversed(range(count))]


@pytest.mark.parametrize(("policy", "delivered"), [("latest", 1), ("all", 3), ("skip", 0)])
def test_the_policy_says_how_many_are_delivered(policy: MisfirePolicy, delivered: int) -> None:
    assert misfire.newest_to_deliver(minutely(3), Misfire(policy=policy), now=NOON) == delivered


def test_all_means_the_newest_hundred() -> None:
    assert misfire.newest_to_deliver(minutely(250), Misfire(policy="all"), now=NOON) == 100


@pytest.mark.parametrize("policy", ["latest", "all"])
def test_what_is_older_than_the_grace_is_never_delivered(policy: MisfirePolicy) -> None:
    old = minutely(5, until=NOON - 8 * DAY)

    assert misfire.newest_to_deliver(old, Misfire(policy=policy), now=NOON) == 0
    assert misfire.newest_to_deliver([*old, NOON], Misfire(policy=policy), now=NOON) == 1


def test_the_grace_is_inclusive() -> None:
    due = [NOON - timedelta(hours=1)]

    assert misfire.newest_to_deliver(due, Misfire(grace="PT1H"), now=NOON) == 1
    assert misfire.newest_to_deliver(due, Misfire(grace="PT59M"), now=NOON) == 0


@given(st.integers(0, 300), st.sampled_from(["latest", "all", "skip"]), st.integers(0, 400))
def test_never_more_than_there_are(count: int, policy: MisfirePolicy, grace: int) -> None:
    found = misfire.newest_to_deliver(minutely(count), Misfire(policy=policy, grace=f"PT{grace}M"), now=NOON)

    assert 0 <= found <= min(count, grace + 1)
