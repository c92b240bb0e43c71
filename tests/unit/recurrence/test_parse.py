from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.errors import InvalidSchedule
from shared.recurrence import parse_rule
from shared.recurrence.parse import EXAMPLES, LONGEST
from shared.recurrence.rule import Freq, WeekDay

REFUSED = [
    ("", "FREQ"),
    ("every day at 9", "FREQ"),
    ("0 9 * * *", "FREQ"),
    ("FREQ=FORTNIGHTLY", "FREQ"),
    ("FREQ=DAILY;FREQ=DAILY", "FREQ"),
    ("BYDAY=MO", "FREQ"),
    ("FREQ=DAILY;", "FREQ"),
    ("FREQ=DAILY;TZID=Europe/Paris", "FREQ"),
    ("FREQ=DAILY\nRDATE:20000101T000000", "FREQ"),
    ("FREQ=\u017fECONDLY", "FREQ"),
    ("FREQ=DAILY;INTERVAL=0", "INTERVAL"),
    ("FREQ=DAILY;INTERVAL=\u0661", "FREQ"),
    ("FREQ=DAILY;INTERVAL=1_000", "INTERVAL"),
    ("FREQ=DAILY;INTERVAL=99999999999", "INTERVAL"),
    ("FREQ=DAILY;COUNT=0", "COUNT"),
    ("FREQ=DAILY;COUNT=5;UNTIL=20300101T000000Z", "COUNT"),
    ("FREQ=DAILY;UNTIL=20300101", "UNTIL"),
    ("FREQ=DAILY;UNTIL=20300101T090000", "UNTIL"),
    ("FREQ=DAILY;UNTIL=20300230T000000Z", "UNTIL"),
    ("FREQ=WEEKLY;WKST=1MO", "WKST"),
    ("FREQ=YEARLY;BYMONTH=+1", "BYMONTH"),
    ("FREQ=YEARLY;BYMONTH=13", "BYMONTH"),
    ("FREQ=YEARLY;BYMONTH=1,,2", "BYMONTH"),
    ("FREQ=DAILY;BYHOUR=24", "BYHOUR"),
    ("FREQ=DAILY;BYHOUR=-1", "BYHOUR"),
    ("FREQ=DAILY;BYMINUTE=60", "BYMINUTE"),
    ("FREQ=DAILY;BYSECOND=61", "BYSECOND"),
    ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY"),
    ("FREQ=MONTHLY;BYMONTHDAY=-32", "BYMONTHDAY"),
    ("FREQ=WEEKLY;BYMONTHDAY=3", "BYMONTHDAY"),
    ("FREQ=MONTHLY;BYDAY=0MO", "BYDAY"),
    ("FREQ=YEARLY;BYDAY=54MO", "BYDAY"),
    ("FREQ=MONTHLY;BYDAY=MO(+1)", "BYDAY"),
    ("FREQ=WEEKLY;BYDAY=1MO", "BYDAY"),
    ("FREQ=YEARLY;BYWEEKNO=10;BYDAY=1MO", "BYDAY"),
    ("FREQ=MONTHLY;BYWEEKNO=1", "BYWEEKNO"),
    ("FREQ=YEARLY;INTERVAL=2;BYWEEKNO=1", "BYWEEKNO"),
    ("FREQ=MONTHLY;BYYEARDAY=1", "BYYEARDAY"),
    ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS"),
    ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=367", "BYSETPOS"),
    ("FREQ=DAILY;BYHOUR=" + ",".join(["9"] * LONGEST), "FREQ"),
]


@pytest.mark.parametrize(("rule", "part"), REFUSED)
def test_a_broken_rule_is_refused_by_the_part_that_breaks_it(rule: str, part: str) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        parse_rule(rule)

    assert refused.value.code == "invalid_schedule"
    assert refused.value.part == part
    assert refused.value.hint
    parse_rule(refused.value.example)


@pytest.mark.parametrize("part", EXAMPLES)
def test_every_example_passes_and_shows_its_part(part: str) -> None:
    assert f"{part}=" in EXAMPLES[part]
    assert str(parse_rule(EXAMPLES[part]))


@pytest.mark.parametrize("prefix", ["", "RRULE:", "rrule:"])
def test_a_prefix_and_the_case_do_not_matter(prefix: str) -> None:
    assert parse_rule(f"{prefix}freq=weekly;byday=mo") == parse_rule("FREQ=WEEKLY;BYDAY=MO")


def test_lists_are_sorted_and_free_of_doubles() -> None:
    rule = parse_rule("FREQ=MONTHLY;BYMONTHDAY=15,+1,01,-1;BYDAY=FR,-1MO,MO")

    assert rule.by_month_day == (-1, 1, 15)
    assert rule.by_day == (WeekDay(-1, 0), WeekDay(0, 0), WeekDay(0, 4))


def test_the_leap_second_is_read_as_the_second_before_it() -> None:
    assert parse_rule("FREQ=MINUTELY;BYSECOND=60,59").by_second == (59,)


def test_until_is_an_instant_in_utc() -> None:
    assert parse_rule("FREQ=DAILY;UNTIL=20301231T235959Z").until == datetime(2030, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_what_is_left_out_is_absent() -> None:
    rule = parse_rule("FREQ=HOURLY")

    assert (rule.freq, rule.interval, rule.count, rule.until, rule.by_hour) == (Freq.HOURLY, 1, None, None, ())
