from __future__ import annotations

import pytest

from shared.recurrence import summary
from tests.unit.recurrence.making import series_of

SUMMARIES = [
    (None, "once on 2026-11-24 at 09:00 (UTC)"),
    ("FREQ=DAILY", "every day at 09:00 (UTC)"),
    ("FREQ=DAILY;INTERVAL=3;COUNT=1", "every 3 days at 09:00 (UTC), from 2026-11-24 09:00, 1 time"),
    ("FREQ=WEEKLY", "every week on Tuesday at 09:00 (UTC)"),
    ("FREQ=WEEKLY;BYDAY=MO,WE,FR;COUNT=10", "every week on Monday, Wednesday and Friday at 09:00 (UTC), 10 times"),
    ("FREQ=WEEKLY;INTERVAL=2;WKST=SU",
     "every 2 weeks on Tuesday at 09:00 (UTC), from 2026-11-24 09:00, weeks starting on Sunday"),
    ("FREQ=MONTHLY", "every month on the 24th day of the month at 09:00 (UTC)"),
    ("FREQ=MONTHLY;BYMONTHDAY=1,-1", "every month on the last and 1st day of the month at 09:00 (UTC)"),
    ("FREQ=MONTHLY;BYDAY=2TU,-1FR", "every month on the last Friday and the 2nd Tuesday at 09:00 (UTC)"),
    ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "every month on the 13th day of the month if it is Friday at 09:00 (UTC)"),
    ("FREQ=MONTHLY;BYDAY=MO,FR;BYSETPOS=-1",
     "every month on Monday and Friday at 09:00 (UTC), only the last of each month"),
    ("FREQ=YEARLY", "every year in November on the 24th day of the month at 09:00 (UTC)"),
    ("FREQ=YEARLY;BYDAY=20MO", "every year on the 20th Monday of the year at 09:00 (UTC)"),
    ("FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU", "every year in March on the last Sunday of the month at 09:00 (UTC)"),
    ("FREQ=YEARLY;BYWEEKNO=20", "every year in the 20th week of the year on Tuesday at 09:00 (UTC)"),
    ("FREQ=YEARLY;BYYEARDAY=100,-2", "every year on the 2nd to last and 100th day of the year at 09:00 (UTC)"),
    ("FREQ=DAILY;BYHOUR=9,17;BYMINUTE=30", "every day at 09:30 and 17:30 (UTC)"),
    ("FREQ=DAILY;BYHOUR=9;BYSECOND=15", "every day at 09:00:15 (UTC)"),
    ("FREQ=DAILY;BYHOUR=9,10,11,12;BYMINUTE=0,30", "every day at minutes 0 and 30 of hours 9 to 12 (UTC)"),
    ("FREQ=HOURLY;BYHOUR=9,12;BYDAY=SA", "every hour on Saturday in hours 9 and 12 (UTC), from 2026-11-24 09:00"),
    ("FREQ=MINUTELY;INTERVAL=15;UNTIL=20270101T000000Z",
     "every 15 minutes (UTC), from 2026-11-24 09:00, until 2027-01-01T00:00:00Z"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "words"), SUMMARIES)
def test_a_series_is_put_into_words(rule: str | None, words: str) -> None:
    assert summary(series_of(rule, "2026-11-24T09:00")) == words


def test_the_words_name_the_zone_and_the_dates() -> None:
    series = series_of(
        "FREQ=DAILY",
        "2026-11-24T09:00",
        "America/New_York",
        rdates=["2026-12-24T10:00"],
        exdates=["2026-12-25T09:00", "2026-12-26T09:00"],
    )

    assert summary(series) == "every day at 09:00 (America/New_York), and on 1 extra date, but for 2 dates"


def test_a_long_list_is_cut_short() -> None:
    days = ",".join(map(str, range(1, 29)))

    words = summary(series_of(f"FREQ=MONTHLY;BYMONTHDAY={days}", "2026-11-24T09:00"))

    assert words == (
        "every month on the 1st, 2nd, 3rd, 4th, 5th, 6th, 7th, 8th, 9th, 10th, 11th and 17 more day of the month"
        " at 09:00 (UTC)"
    )
