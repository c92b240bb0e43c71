"""Read a recurrence rule strictly: RFC 5545 3.3.10 and nothing beside it.

Each refusal names the part, says what would do, and carries a rule that passes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from shared.errors import InvalidSchedule
from shared.recurrence.rule import UNTIL_FORMAT, WEEKDAYS, Freq, Rule, WeekDay

LONGEST = 2048
_PREFIX = "RRULE:"
_LARGEST = 9_999_999_999
_NUMBER = re.compile(r"[+-]?[0-9]{1,3}", re.ASCII)
_DAY = re.compile(rf"([+-]?[0-9]{{1,2}})?({'|'.join(WEEKDAYS)})", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,10}", re.ASCII)
_UNTIL = re.compile(r"[0-9]{8}T[0-9]{6}Z", re.ASCII)

_RANGES = {
    "BYMONTH": range(1, 13),
    "BYWEEKNO": range(1, 54),
    "BYYEARDAY": range(1, 367),
    "BYMONTHDAY": range(1, 32),
    "BYHOUR": range(24),
    "BYMINUTE": range(60),
    "BYSECOND": range(61),
    "BYSETPOS": range(1, 367),
}
_FROM_THE_END = {"BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYSETPOS"}
_BY = (*_RANGES, "BYDAY")

EXAMPLES = {
    "FREQ": "FREQ=WEEKLY",
    "INTERVAL": "FREQ=WEEKLY;INTERVAL=2",
    "COUNT": "FREQ=DAILY;COUNT=10",
    "UNTIL": "FREQ=DAILY;UNTIL=20301231T235959Z",
    "WKST": "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU",
    "BYMONTH": "FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=14",
    "BYWEEKNO": "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
    "BYYEARDAY": "FREQ=YEARLY;BYYEARDAY=1,-1",
    "BYMONTHDAY": "FREQ=MONTHLY;BYMONTHDAY=15,-1",
    "BYDAY": "FREQ=MONTHLY;BYDAY=1MO,-1FR",
    "BYHOUR": "FREQ=DAILY;BYHOUR=9,17",
    "BYMINUTE": "FREQ=DAILY;BYHOUR=9;BYMINUTE=0,30",
    "BYSECOND": "FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0",
    "BYSETPOS": "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
}
_USUAL = "FREQ=WEEKLY;BYDAY=MO,WE,FR"


@lru_cache(maxsize=4096)
def parse_rule(text: str) -> Rule:
    """Return the rule that a RECUR value states, with or without a leading `RRULE:`."""
    parts = _split(text)
    freq = _freq(parts.pop("FREQ", None))
    if {"COUNT", "UNTIL"} <= parts.keys():
        raise _refused("COUNT", "COUNT and UNTIL exclude each other", "keep one of them")
    rule = Rule(
        freq=freq,
        interval=_positive("INTERVAL", parts["INTERVAL"]) if "INTERVAL" in parts else 1,
        count=_positive("COUNT", parts["COUNT"]) if "COUNT" in parts else None,
        until=_until(parts["UNTIL"]) if "UNTIL" in parts else None,
        week_start=_week_start(parts["WKST"]) if "WKST" in parts else 0,
        by_day=_days(parts["BYDAY"]) if "BYDAY" in parts else (),
        by_month=_numbers("BYMONTH", parts),
        by_week_no=_numbers("BYWEEKNO", parts),
        by_year_day=_numbers("BYYEARDAY", parts),
        by_month_day=_numbers("BYMONTHDAY", parts),
        by_hour=_numbers("BYHOUR", parts),
        by_minute=_numbers("BYMINUTE", parts),
        by_second=_numbers("BYSECOND", parts),
        by_set_pos=_numbers("BYSETPOS", parts),
    )
    _check_company(rule, parts)
    return rule


def _split(text: str) -> dict[str, str]:
    """Return the parts by name, in upper case."""
    if len(text) > LONGEST:
        raise _refused("FREQ", f"the rule is longer than {LONGEST} characters", "use fewer or shorter lists")
    # Before upper(): it would turn a long s (U+017F) into an S.
    if not text.isascii():
        raise _refused("FREQ", "the rule holds a character that is not ASCII", "write it in plain letters and digits")
    upper = text.upper().removeprefix(_PREFIX)
    parts: dict[str, str] = {}
    for part in upper.split(";"):
        name, equals, value = part.partition("=")
        if name not in EXAMPLES:
            raise _refused("FREQ", *_misread(part, name))
        if not equals or not value:
            raise _refused(name, f"{name} has no value", f"write {name}=value")
        if name in parts:
            raise _refused(name, f"{name} stands twice", "join the values with commas in one part")
        parts[name] = value
    return parts


def _misread(part: str, name: str) -> tuple[str, str]:
    known = ", ".join(EXAMPLES)
    if not part:
        return "the rule is empty or holds an empty part", "separate parts with single semicolons"
    if name in {"DTSTART", "TZID", "RDATE", "EXDATE"}:
        return f"{name} is no part of a rule", "give start_time, timezone, rdates and exdates as fields of their own"
    return f"{part[:40]!r} is no part of a rule", f"a rule is NAME=value;NAME=value with {known}"


def _freq(value: str | None) -> Freq:
    if value is None:
        raise _refused("FREQ", "FREQ is missing", "start with FREQ=DAILY, WEEKLY, MONTHLY, …")
    if value not in Freq.__members__:
        raise _refused("FREQ", f"FREQ={value[:40]} is unknown", f"one of {', '.join(Freq.__members__)}")
    return Freq[value]


def _positive(name: str, value: str) -> int:
    if not _DIGITS.fullmatch(value) or int(value) == 0:
        raise _refused(name, f"{name}={value[:40]} is not a count", f"a whole number from 1 to {_LARGEST}")
    return int(value)


def _until(value: str) -> datetime:
    if _UNTIL.fullmatch(value):
        try:
            return datetime.strptime(value, UNTIL_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            raise _refused("UNTIL", f"UNTIL={value} is no date of the calendar", "an instant in UTC") from None
    raise _refused("UNTIL", f"UNTIL={value[:40]} is not an instant in UTC", "write YYYYMMDDTHHMMSSZ, in UTC, inclusive")


def _week_start(value: str) -> int:
    if value not in WEEKDAYS:
        raise _refused("WKST", f"WKST={value[:40]} is not a weekday", f"one of {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(value)


def _days(value: str) -> tuple[WeekDay, ...]:
    days: set[WeekDay] = set()
    for text in value.split(","):
        match = _DAY.fullmatch(text)
        if match is None:
            hint = f"{', '.join(WEEKDAYS)}, with an ordinal before it where wanted: 1MO, -1FR"
            raise _refused("BYDAY", f"{text[:40]!r} in BYDAY is not a weekday", hint)
        nth = int(match[1]) if match[1] else 0
        if match[1] and not 1 <= abs(nth) <= 53:
            raise _refused("BYDAY", f"the ordinal of {text} is out of range", "1 to 53, or -1 to -53 from the end")
        days.add(WeekDay(nth, WEEKDAYS.index(match[2])))
    return tuple(sorted(days))


def _numbers(name: str, parts: Mapping[str, str]) -> tuple[int, ...]:
    if name not in parts:
        return ()
    allowed, signed = _RANGES[name], name in _FROM_THE_END
    numbers: set[int] = set()
    for text in parts[name].split(","):
        wanted = _NUMBER.fullmatch(text) and (signed or text[0] not in "+-")
        if not wanted or (abs(int(text)) if signed else int(text)) not in allowed:
            hint = f"{allowed[0]} to {allowed[-1]}" + (", or negative to count from the end" if signed else "")
            raise _refused(name, f"{text[:40]!r} is out of range for {name}", hint)
        # RFC 5545 3.3.5: the leap second 60 is to be read as 59.
        numbers.add(59 if name == "BYSECOND" and int(text) == 60 else int(text))
    return tuple(sorted(numbers))


def _check_company(rule: Rule, parts: Mapping[str, str]) -> None:
    """Refuse parts that RFC 5545 forbids beside each other, and what no two implementations read alike."""
    freq = rule.freq
    if any(day.nth for day in rule.by_day):
        if freq not in {Freq.MONTHLY, Freq.YEARLY}:
            raise _refused("BYDAY", f"BYDAY with an ordinal cannot go with FREQ={freq.name}", "MONTHLY or YEARLY only")
        if rule.by_week_no:
            raise _refused("BYDAY", "BYDAY with an ordinal cannot go with BYWEEKNO", "leave the ordinal out")
    if rule.by_month_day and freq is Freq.WEEKLY:
        raise _refused("BYMONTHDAY", "BYMONTHDAY cannot go with FREQ=WEEKLY", "use MONTHLY, or BYDAY")
    if rule.by_year_day and freq in {Freq.MONTHLY, Freq.WEEKLY, Freq.DAILY}:
        raise _refused("BYYEARDAY", f"BYYEARDAY cannot go with FREQ={freq.name}", "use FREQ=YEARLY")
    if rule.by_week_no and freq is not Freq.YEARLY:
        raise _refused("BYWEEKNO", f"BYWEEKNO cannot go with FREQ={freq.name}", "use FREQ=YEARLY")
    if rule.by_week_no and rule.interval > 1:
        raise _refused("BYWEEKNO", "BYWEEKNO cannot go with INTERVAL above 1", "name every year's weeks, INTERVAL=1")
    if rule.by_set_pos and not any(name in parts for name in _BY if name != "BYSETPOS"):
        raise _refused("BYSETPOS", "BYSETPOS has nothing to choose from", "add another BY part, such as BYDAY")


def _refused(part: str, message: str, hint: str) -> InvalidSchedule:
    return InvalidSchedule(message, part=part, hint=hint, example=EXAMPLES.get(part, _USUAL))
