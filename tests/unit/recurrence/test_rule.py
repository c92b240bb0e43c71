from __future__ import annotations

import pytest

from shared.recurrence import parse_rule


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("FREQ=WEEKLY;BYDAY=MO,WE,FR;INTERVAL=1", "FREQ=WEEKLY;BYDAY=MO,WE,FR"),
        ("RRULE:INTERVAL=2;FREQ=DAILY;WKST=MO", "FREQ=DAILY;INTERVAL=2"),
        ("COUNT=3;BYDAY=+1FR;FREQ=MONTHLY", "FREQ=MONTHLY;BYDAY=1FR;COUNT=3"),
        ("FREQ=WEEKLY;WKST=SU;INTERVAL=2", "FREQ=WEEKLY;INTERVAL=2;WKST=SU"),
        ("FREQ=DAILY;UNTIL=20301231t235959z", "FREQ=DAILY;UNTIL=20301231T235959Z"),
        ("FREQ=DAILY;UNTIL=00010203T040506Z", "FREQ=DAILY;UNTIL=00010203T040506Z"),
        (
            "BYSETPOS=-1;BYSECOND=0;BYMINUTE=30;BYHOUR=9;BYDAY=MO;BYMONTH=3;FREQ=YEARLY",
            "FREQ=YEARLY;BYMONTH=3;BYDAY=MO;BYHOUR=9;BYMINUTE=30;BYSECOND=0;BYSETPOS=-1",
        ),
    ],
)
def test_rules_that_mean_the_same_are_written_the_same(text: str, normalised: str) -> None:
    assert str(parse_rule(text)) == normalised
    assert parse_rule(normalised) == parse_rule(text)
