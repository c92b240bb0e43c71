from __future__ import annotations

from datetime import date, datetime

import pytest

from shared.recurrence import parse_rule
from shared.recurrence.days import LAST_DAY, date_of, days_of, number_of, weekday_of
from tests.unit.recurrence import brute

START = datetime.fromisoformat("2026-03-31T09:00")
RULES = [
    "FREQ=YEARLY",
    "FREQ=YEARLY;BYWEEKNO=1,53,-1,20",
    "FREQ=YEARLY;BYWEEKNO=1,52,53,-53;BYDAY=MO,SU;WKST=SU",
    "FREQ=YEARLY;BYWEEKNO=-1,-52;BYDAY=TU;WKST=WE",
    "FREQ=YEARLY;BYDAY=53MO,-53FR,1SU",
    "FREQ=YEARLY;BYMONTH=2,12;BYDAY=5SA,-1MO,TU",
    "FREQ=YEARLY;BYYEARDAY=1,60,366,-366,-1",
    "FREQ=YEARLY;BYMONTHDAY=1,-31",
    "FREQ=MONTHLY;BYDAY=5MO,-5FR",
    "FREQ=MONTHLY;BYMONTHDAY=29,-31",
    "FREQ=WEEKLY;BYMONTH=2",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29,-1",
    "FREQ=HOURLY;BYYEARDAY=-1;BYDAY=FR",
]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_permits_the_days_that_its_words_permit(rule: str) -> None:
    parsed = parse_rule(rule)
    days = days_of(parsed, START)
    low, high = number_of(date(1995, 1, 1)), number_of(date(2013, 1, 1))

    permitted = [day for day in range(low, high) if days.following(day) == day]

    assert permitted == [day for day in range(low, high) if brute.permits(parsed, START, date_of(day))]


@pytest.mark.parametrize("rule", ["FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=MONTHLY;INTERVAL=12;BYMONTH=6"])
def test_where_no_day_is_permitted_none_follows(rule: str) -> None:
    assert days_of(parse_rule(rule), START).following(0) is None


def test_the_days_between_reach_over_the_turn_of_the_year() -> None:
    days = days_of(parse_rule("FREQ=WEEKLY;BYDAY=TU,TH"), START)

    found = days.between(number_of(date(2026, 12, 28)), number_of(date(2027, 1, 4)))

    assert [date_of(day) for day in found] == [date(2026, 12, 29), date(2026, 12, 31)]


def test_the_calendar_ends_with_its_last_day() -> None:
    days = days_of(parse_rule("FREQ=DAILY"), START)

    assert date_of(LAST_DAY) == date(9999, 12, 31)
    assert days.between(LAST_DAY, LAST_DAY + 7) == [LAST_DAY]


def test_weekdays_are_counted_from_monday() -> None:
    assert weekday_of(number_of(date(2026, 11, 24))) == date(2026, 11, 24).weekday() == 1
