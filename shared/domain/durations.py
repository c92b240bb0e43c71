"""ISO 8601 durations: `PT15M`, `P7D`, `P1W`, `PT0.5S`.

Years and months have no fixed length and are refused.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache

_PATTERN = re.compile(
    r"P(?:(?P<weeks>[0-9]{1,5})W)?(?:(?P<days>[0-9]{1,6})D)?"
    r"(?:T(?:(?P<hours>[0-9]{1,7})H)?(?:(?P<minutes>[0-9]{1,8})M)?(?:(?P<seconds>[0-9]{1,10}(?:\.[0-9]{1,6})?)S)?)?"
)


@lru_cache(maxsize=4096)
def parse(text: str) -> timedelta:
    """Read a duration; ValueError when it is not one."""
    match = _PATTERN.fullmatch(text)
    if match is None or text.endswith(("P", "T")):
        raise ValueError(f"{text[:40]!r} is not an ISO 8601 duration")
    return timedelta(**{unit: float(value) for unit, value in match.groupdict().items() if value})
