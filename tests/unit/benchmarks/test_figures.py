from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.figures import Figure, number, percentile, table


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (1, 1), (50, 50), (50.5, 51), (99, 99), (99.9, 100), (100, 100)]
)
def test_a_percentile_is_the_value_of_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentile(range(100, 0, -1), percent) == expected


@given(st.lists(st.floats(allow_nan=False), min_size=1), st.floats(0, 100))
def test_a_percentile_is_a_value_that_enough_do_not_exceed(values: list[float], percent: float) -> None:
    found = percentile(values, percent)

    assert found in values
    assert sum(value <= found for value in values) >= len(values) * percent / 100


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (0.0514, "0.051"), (5.144, "5.14"), (51.44, "51.4"), (1514.4, "1,514")]
)
def test_a_number_keeps_the_digits_that_count(value: float, shown: str) -> None:
    assert number(value) == shown


def test_a_group_is_named_once_and_a_figure_without_a_baseline_has_no_ratio() -> None:
    figures = [
        Figure(group="herd", name="last", unit="s", value=3.0, baseline=2.0, beside="bare"),
        Figure(group="herd", name="early", unit="", value=0),
    ]

    assert table(figures)[2:] == ["| herd | last | s | 3.00 | 2.00 | 1.50 | bare |", "|  | early |  | 0 |  |  |  |"]
