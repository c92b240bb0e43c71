"""Divide what came due and was not delivered: the newest few still are, those before them are left out.

One place for the scheduler, after an outage, and for whoever resumes an event.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from shared import recurrence
from shared.recurrence import Occurrence, Overridden


class Overdue(msgspec.Struct, frozen=True):
    """What came due in a span of time."""

    delivered: list[Occurrence]
    """The newest, in order."""
    left_out: int
    """How many those before them are."""


def divide(series: Overridden, *, since: datetime, until: datetime, not_before: datetime, most: int) -> Overdue:
    """Divide what is due in [since, until]: at most `most` are delivered, and none from before `not_before`."""
    delivered = recurrence.newest(series, since=max(since, not_before), until=until, most=most)
    return Overdue(delivered, series.count_due(since, until) - len(delivered))
