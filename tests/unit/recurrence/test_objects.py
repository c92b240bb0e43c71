from __future__ import annotations

from typing import cast

import pytest

from shared.errors import InvalidSchedule
from shared.recurrence import rule_from_object
from shared.recurrence.parse import parse_rule


@pytest.mark.parametrize(
    ("schedule", "rule"),
    [
        ({"frequency": "weekly", "interval": 1, "by_day": ["MO", "fr"]}, "FREQ=WEEKLY;BYDAY=MO,FR"),
        ({"frequency": "Monthly", "by_month_day": [1, -1], "count": 3}, "FREQ=MONTHLY;BYMONTHDAY=-1,1;COUNT=3"),
        ({"frequency": "daily", "until": "2030-01-01T01:00:00+01:00"}, "FREQ=DAILY;UNTIL=20300101T000000Z"),
        ({"frequency": "daily", "count": None, "by_day": []}, "FREQ=DAILY"),
        ({"frequency": "monthly", "by_day": ["1MO"], "by_hour": [9], "week_start": "SU"},
         "FREQ=MONTHLY;BYDAY=1MO;BYHOUR=9;WKST=SU"),
    ],
)  # fmt: skip
def test_an_object_says_what_a_rule_says(schedule: dict[str, object], rule: str) -> None:
    assert str(rule_from_object(schedule)) == rule


@pytest.mark.parametrize(
    ("schedule", "part"),
    [
        ({}, "FREQ"),
        ({"frequency": "fortnightly"}, "FREQ"),
        ({"frequency": 1}, "frequency"),
        ({"frequency": "daily;COUNT=1"}, "frequency"),
        ({"frequency": "daily", "interval": True}, "interval"),
        ({"frequency": "daily", "interval": "2"}, "interval"),
        ({"frequency": "daily", "interval": 0}, "INTERVAL"),
        ({"frequency": "daily", "by_day": "MO"}, "by_day"),
        ({"frequency": "daily", "by_day": ["MO;COUNT=1"]}, "by_day"),
        ({"frequency": "daily", "by_month": [1.5]}, "by_month"),
        ({"frequency": "daily", "until": "2030-01-01T00:00:00"}, "until"),
        ({"frequency": "daily", "until": "soon"}, "until"),
        ({"frequency": "daily", "until": 5}, "until"),
        ({"frequency": "daily", "until": "9999-12-31T23:59:59-12:00"}, "until"),
        ({"frequency": "daily", "count": 10**5_000}, "count"),
        ({"frequency": "daily", "by_easter": [0]}, "by_easter"),
    ],
)
def test_a_broken_object_is_refused_by_the_part_that_breaks_it(schedule: dict[str, object], part: str) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        rule_from_object(schedule)

    assert refused.value.part == part
    example: object = refused.value.example
    if isinstance(example, dict):
        rule_from_object(cast("dict[str, object]", example))
    else:
        parse_rule(str(example))
