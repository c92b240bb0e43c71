"""Hold one recurrence rule of RFC 5545, normalised: two texts that mean the same parts give equal rules."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from typing import NamedTuple

import msgspec

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
UNTIL_FORMAT = "%Y%m%dT%H%M%SZ"


def until_text(instant: datetime) -> str:
    """Write an instant in UTC as UNTIL has it; strftime would leave out the zeros of early years."""
    return instant.isoformat(timespec="seconds")[:19].replace("-", "").replace(":", "") + "Z"


class Freq(IntEnum):
    """How often, coarsest first."""

    YEARLY = 0
    MONTHLY = 1
    WEEKLY = 2
    DAILY = 3
    HOURLY = 4
    MINUTELY = 5
    SECONDLY = 6


class WeekDay(NamedTuple):
    """One entry of BYDAY: the `nth` (0: every; negative: from the end) of a weekday (0 is Monday)."""

    nth: int
    weekday: int

    def __str__(self) -> str:
        return f"{self.nth or ''}{WEEKDAYS[self.weekday]}"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule's parts, each list sorted and without doubles; an empty list is an absent part."""

    freq: Freq
    interval: int = 1
    by_month: tuple[int, ...] = ()
    by_week_no: tuple[int, ...] = ()
    by_year_day: tuple[int, ...] = ()
    by_month_day: tuple[int, ...] = ()
    by_day: tuple[WeekDay, ...] = ()
    by_hour: tuple[int, ...] = ()
    by_minute: tuple[int, ...] = ()
    by_second: tuple[int, ...] = ()
    by_set_pos: tuple[int, ...] = ()
    week_start: int = 0
    count: int | None = None
    until: datetime | None = None
    """In UTC, inclusive."""

    def __str__(self) -> str:
        """Return the canonical text: FREQ first, what is by default left out."""
        lists = {
            "BYMONTH": self.by_month,
            "BYWEEKNO": self.by_week_no,
            "BYYEARDAY": self.by_year_day,
            "BYMONTHDAY": self.by_month_day,
            "BYDAY": self.by_day,
            "BYHOUR": self.by_hour,
            "BYMINUTE": self.by_minute,
            "BYSECOND": self.by_second,
            "BYSETPOS": self.by_set_pos,
        }
        parts = [f"FREQ={self.freq.name}"]
        if self.interval != 1:
            parts.append(f"INTERVAL={self.interval}")
        parts += [f"{name}={','.join(map(str, values))}" for name, values in lists.items() if values]
        if self.week_start:
            parts.append(f"WKST={WEEKDAYS[self.week_start]}")
        if self.count is not None:
            parts.append(f"COUNT={self.count}")
        if self.until is not None:
            parts.append(f"UNTIL={until_text(self.until)}")
        return ";".join(parts)

    @property
    def sub_daily(self) -> bool:
        """Say whether the rule steps in elapsed time (HOURLY and finer) instead of on the wall clock."""
        return self.freq >= Freq.HOURLY
