"""Look back over a span of time, however long it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Protocol

from shared.recurrence.series import Occurrence

_FIRST_LOOK = timedelta(minutes=1)


class _Instants(Protocol):
    def occurrences(self, start: datetime | None = None) -> Iterator[Occurrence]: ...


def newest(series: _Instants, *, since: datetime, until: datetime, most: int) -> list[Occurrence]:
    """Return the last `most` occurrences in [since, until], in order, looking back ever further from its end."""
    if most == 0 or since > until:
        return []
    back = _FIRST_LOOK
    while True:
        start = until - back if until - since > back else since
        found = deque(takewhile(lambda o: o.scheduled_at <= until, series.occurrences(start)), maxlen=most)
        if len(found) == most or start == since:
            return list(found)
        back *= 4
