"""Read a rule that is written as a JSON object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import cast

from shared.errors import InvalidSchedule
from shared.recurrence.parse import parse_rule
from shared.recurrence.rule import Rule, until_text

_LISTS = {
    "by_month": "BYMONTH",
    "by_week_no": "BYWEEKNO",
    "by_year_day": "BYYEARDAY",
    "by_month_day": "BYMONTHDAY",
    "by_day": "BYDAY",
    "by_hour": "BYHOUR",
    "by_minute": "BYMINUTE",
    "by_second": "BYSECOND",
    "by_set_pos": "BYSETPOS",
}
_EXAMPLES: dict[str, dict[str, object]] = {
    "frequency": {"frequency": "weekly"},
    "interval": {"frequency": "weekly", "interval": 2},
    "count": {"frequency": "daily", "count": 10},
    "until": {"frequency": "daily", "until": "2030-12-31T23:59:59Z"},
    "week_start": {"frequency": "weekly", "interval": 2, "week_start": "SU"},
    "by_day": {"frequency": "monthly", "by_day": ["1MO", "-1FR"]},
}
_LARGEST = 9_999_999_999
_USUAL: dict[str, object] = {"frequency": "monthly", "by_month_day": [1, 15]}


def rule_from_object(obj: Mapping[str, object]) -> Rule:
    """Return the rule of a structured schedule, whose parts obey the rules of the text.

    null and [] stand for an absent part.
    """
    return parse_rule(";".join(_part(name, value) for name, value in obj.items() if value is not None and value != []))


def _part(name: str, value: object) -> str:
    if name in _LISTS:
        return f"{_LISTS[name]}={_list(name, value)}"
    if name not in _SINGLES:
        known = ", ".join((*_SINGLES, *_LISTS))
        raise _refused(name[:40], f"{name[:40]!r} is no part of a schedule", f"known are {known}")
    part, read = _SINGLES[name]
    return f"{part}={read(name, value)}"


def _list(name: str, value: object) -> str:
    if not isinstance(value, list):
        raise _refused(name, f"{name} is not a list", "a list of one or more values")
    read = _word if name == "by_day" else _number
    return ",".join(read(name, item) for item in cast("list[object]", value))


def _number(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST:
        raise _refused(name, f"{name} holds something that is not a whole number", f"a whole number up to {_LARGEST}")
    return str(value)


def _word(name: str, value: object) -> str:
    # A separator inside a value would smuggle in another part.
    if not isinstance(value, str) or not value.replace("-", "").replace("+", "").isalnum():
        raise _refused(name, f"{name} holds something that is not a word", "plain letters, such as MO or 1FR")
    return value


def _instant(name: str, value: object) -> str:
    refused = _refused(name, f"{name} is not an instant", "an RFC 3339 instant with Z or an offset")
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            raise refused
        return until_text(moment.astimezone(UTC))
    except (ValueError, OverflowError):
        raise refused from None


_SINGLES: dict[str, tuple[str, Callable[[str, object], str]]] = {
    "frequency": ("FREQ", _word),
    "interval": ("INTERVAL", _number),
    "count": ("COUNT", _number),
    "until": ("UNTIL", _instant),
    "week_start": ("WKST", _word),
}


def _refused(name: str, message: str, hint: str) -> InvalidSchedule:
    return InvalidSchedule(message, part=name, hint=hint, example=_EXAMPLES.get(name, _USUAL))
