"""RFC 3339 instants and local times, read strictly."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from shared.errors import FieldError, Invalid

_PATTERN = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-](?P<hours>\d\d):(?P<minutes>\d\d))?", re.ASCII
)
_EARLIEST, _LATEST = 1900, 9998
_HOURS, _MINUTES = 24, 60
HINT = "An RFC 3339 instant, with `Z` or an offset."
EXAMPLE = "2027-03-20T09:00:00Z"


def parse(text: str) -> datetime:
    """Read an instant (aware, UTC) or a local time (naive); ValueError with the reason when it is neither."""
    if not (found := _PATTERN.fullmatch(text)):
        raise ValueError("This is not an RFC 3339 date and time.")
    if found["hours"] and not (int(found["hours"]) < _HOURS and int(found["minutes"]) < _MINUTES):
        raise ValueError("The offset must lie between -23:59 and +23:59.")
    try:
        instant = datetime.fromisoformat(text.upper().replace(" ", "T"))
        if not _EARLIEST <= instant.year <= _LATEST:
            raise ValueError(f"The year must lie between {_EARLIEST} and {_LATEST}.")
        return instant.astimezone(UTC) if instant.tzinfo else instant
    except OverflowError:
        raise ValueError("This instant is out of range.") from None


def with_offset(text: str) -> datetime:
    """Read an instant; ValueError with the reason when it is none, or a local time."""
    instant = parse(text)
    if instant.tzinfo is None:
        raise ValueError("An offset is missing.")
    return instant


def parameter(name: str, text: str | None) -> datetime | None:
    """Read the instant of a query parameter; Invalid when it is none."""
    if text is None:
        return None
    try:
        # In a query, the plus sign of an offset arrives as a space.
        return with_offset(re.sub(r" (\d\d:\d\d)$", r"+\1", text))
    except ValueError as error:
        raise Invalid([FieldError(pointer=name, message=str(error), hint=HINT, example=EXAMPLE)]) from None
