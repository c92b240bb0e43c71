"""Lay changes to single occurrences over a series.

An occurrence keeps its recurrence_id wherever it is moved; an EXDATE beats every override; an override whose occurrence
the series does not (or no longer) have is an orphan: kept, reported, never due.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from heapq import merge
from itertools import islice

import msgspec

from shared.domain.overrides import Override
from shared.errors import InvalidSchedule
from shared.recurrence import counting
from shared.recurrence.past import newest
from shared.recurrence.series import Occurrence, Series
from shared.recurrence.zones import FIRST_YEAR, LAST_YEAR, instant_of, zone_of

_OFFERED = 3


class Overridden(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A series with overrides by recurrence_id, in any form that `find` understands."""

    series: Series
    overrides: Mapping[str, Override]

    def next_after(self, instant: datetime, *, inclusive: bool = False) -> Occurrence | None:
        """Return the first occurrence after an instant (or at it) by the time it really has."""
        return next((o for o in self.occurrences(instant) if inclusive or o.scheduled_at > instant), None)

    def occurrences(self, start: datetime | None = None) -> Iterator[Occurrence]:
        """Yield the occurrences lazily by the time they really have, from `start` on (inclusive), or all of them.

        Two at one instant both come.
        """
        if not self.overrides:
            return self.series.occurrences(start)
        moved = [o for o in self._moved if start is None or o.scheduled_at >= start]
        return merge(self.in_place(start), moved, key=lambda o: o.scheduled_at)

    def in_place(self, start: datetime | None = None) -> Iterator[Occurrence]:
        """Yield only the occurrences that are neither moved nor excluded."""
        displaced = {found.recurrence_id for found in self._displaced}
        found = self.series.occurrences(start)
        return (o for o in found if o.recurrence_id not in displaced) if displaced else found

    def count_due(self, since: datetime, until: datetime) -> int:
        """Return how many occurrences are due in [since, until], moved ones where they were moved to."""
        return self.count_in_place(since, until) + sum(since <= o.scheduled_at <= until for o in self._moved)

    def count_in_place(self, since: datetime, until: datetime) -> int:
        """Return how many of those in [since, until] are neither moved nor excluded; see `counting.in_span`."""
        displaced = sum(since <= o.original_at <= until for o in self._displaced)
        return counting.in_span(self.series, since, until) - displaced

    @property
    def moved(self) -> Sequence[Occurrence]:
        """The occurrences that were moved, by their new times."""
        return self._moved

    @property
    def excluded(self) -> Sequence[Occurrence]:
        """The occurrences that were left out."""
        return [found for found, override in self._known if override.excluded]

    @property
    def orphans(self) -> tuple[str, ...]:
        """The keys that match no occurrence."""
        return tuple(key for key in self.overrides if find(self.series, key) is None)

    @cached_property
    def _known(self) -> list[tuple[Occurrence, Override]]:
        pairs = ((find(self.series, key), override) for key, override in self.overrides.items())
        return [(found, override) for found, override in pairs if found is not None]

    @cached_property
    def _displaced(self) -> list[Occurrence]:
        return [found for found, override in self._known if _displaces(override, found)]

    @cached_property
    def _moved(self) -> list[Occurrence]:
        moved = (_move(self.series, found, override) for found, override in self._known if not override.excluded)
        return sorted((o for o in moved if "moved" in o.flags), key=lambda o: o.scheduled_at)


def find(series: Series, recurrence_id: str) -> Occurrence | None:
    """Return the occurrence that a recurrence_id names: its local start, or its instant written in any zone."""
    instant = _instant(series, recurrence_id)
    if instant is None:
        return None
    found = series.next_after(instant, inclusive=True)
    return found if found is not None and found.original_at == instant else None


def resolve(series: Series, recurrence_id: str) -> Occurrence:
    """Return the occurrence that a recurrence_id names; InvalidSchedule, with the nearest three, if there is none."""
    found = find(series, recurrence_id)
    if found is None:
        near = nearest(series, _instant(series, recurrence_id) or series.start_at)
        raise InvalidSchedule(
            f"{recurrence_id[:64]!r} is not an occurrence of this event",
            part="recurrence_id",
            hint=f"the nearest are {', '.join(near)}" if near else "there are no occurrences",
            example=near[0] if near else series.start_local.isoformat(),
        )
    return found


def nearest(series: Series, instant: datetime) -> list[str]:
    """Return the recurrence_ids of the three occurrences nearest to an instant, in order of time."""
    instant = min(instant, _end_of(series) or instant)
    beginning = min((series.start_at, *series.rdates))
    before = newest(series, since=beginning, until=instant - datetime.resolution, most=_OFFERED)
    near = [*before, *islice(series.occurrences(instant), _OFFERED)]
    near = sorted(near, key=lambda o: abs(o.scheduled_at - instant))[:_OFFERED]
    return [o.recurrence_id for o in sorted(near, key=lambda o: o.scheduled_at)]


def _end_of(series: Series) -> datetime | None:
    """Return an instant after which nothing comes, so that nobody looks for the last occurrence from far beyond it."""
    if series.rule is None:
        return max((series.start_at, *series.rdates))
    return None if series.until is None else max((series.until, *series.rdates))


def _instant(series: Series, recurrence_id: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(recurrence_id)
    except ValueError:
        return None
    return instant_of(moment, series.zone) if FIRST_YEAR < moment.year < LAST_YEAR else None


def _displaces(override: Override, found: Occurrence) -> bool:
    return override.excluded or override.scheduled_at not in (None, found.scheduled_at)


def _move(series: Series, found: Occurrence, override: Override) -> Occurrence:
    if override.scheduled_at is None or override.scheduled_at == found.scheduled_at:
        return found
    local = override.scheduled_at.astimezone(zone_of(series.zone))
    return msgspec.structs.replace(
        found,
        scheduled_at=override.scheduled_at,
        local=local,
        flags=(*found.flags, "moved"),
    )
