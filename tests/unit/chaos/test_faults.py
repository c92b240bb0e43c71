"""Which faults a seed draws."""

from __future__ import annotations

from random import Random

from tests.chaos.faults import FAULTS, FIRST_AFTER, drawn


def test_a_seed_draws_the_same_faults_again_and_another_seed_others() -> None:
    first, second, other = (drawn(Random(seed), seconds=120, calm=5) for seed in (1, 1, 2))

    assert first == second
    assert first != other


def test_the_faults_fit_into_the_load_each_with_its_calm_and_none_comes_twice() -> None:
    for seed in range(20):
        names = drawn(Random(seed), seconds=120, calm=5)

        assert FIRST_AFTER + sum(FAULTS[name].lasts + 5 for name in names) <= 120
        assert len(set(names)) == len(names)


def test_all_faults_are_drawn_when_there_is_time() -> None:
    assert set(drawn(Random(1), seconds=1000, calm=5)) == FAULTS.keys()
