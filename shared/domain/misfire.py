"""Which of the occurrences that came due while nobody ran are still delivered."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import assert_never

from shared.domain import durations
from shared.domain.content import Misfire

LATE_AFTER = timedelta(seconds=60)
"""One that is claimed later than this was not merely a little late."""
MOST_CAUGHT_UP = 100


def newest_to_deliver(due: Sequence[datetime], misfire: Misfire, *, now: datetime) -> int:
    """Return how many of the newest of `due`, which is in order, are delivered; those before them are missed."""
    within_grace = len(due) - bisect_left(due, now - durations.parse(misfire.grace))
    match misfire.policy:
        case "latest":
            return min(within_grace, 1)
        case "all":
            return min(within_grace, MOST_CAUGHT_UP)
        case "skip":
            return 0
        case _:
            assert_never(misfire.policy)
