"""How soon a process that died is started again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deploy.local import backoff


@given(deaths=st.integers(min_value=1, max_value=10_000))
def test_the_delay_grows_and_stays_under_five_seconds(deaths: int) -> None:
    assert 0 < backoff.delay_after(deaths) <= backoff.delay_after(deaths + 1) < 5


def test_the_first_death_costs_less_than_two_seconds() -> None:
    assert backoff.delay_after(1) < 2


def test_a_steady_life_forgives_earlier_deaths() -> None:
    assert backoff.deaths_after(7, lived=backoff.STEADY) == 1
    assert backoff.deaths_after(7, lived=backoff.STEADY - 1) == 8
