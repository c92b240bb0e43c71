"""Which of the occurrences that came due while nobody ran are still delivered: the newest, and how many of them."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.content import MisfirePolicy

LATE_AFTER = timedelta(seconds=60)
"""One that is claimed later than this was not merely a little late."""

MOST_DELIVERED: dict[MisfirePolicy, int] = {"latest": 1, "all": 100, "skip": 0}
