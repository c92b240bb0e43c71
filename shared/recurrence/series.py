"""Know the instants of a series: a start, a rule or none, extra and left-out instants, in one zone.

What comes next never depends on how old the series is. Instants are strictly increasing, and none comes twice.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from heapq import merge
from itertools import takewhile
from typing import Literal

import msgspec

from shared.recurrence.elapsed import Elapsed
from shared.recurrence.parse import parse_rule
from shared.recurrence.wall import WallClock
from shared.recurrence.zones import (
    BEGIN,
    DAY,
    END,
    EPOCH,
    EPOCH_UTC,
    Span,
    is_ambiguous,
    seconds_of,
    span_at,
    zone_of,
)

DstGap = Literal["shift", "skip"]
_BARREN_SPANS = 1_000
"""How many spans of offsets may pass without an occurrence: centuries. Only a rule that skips all it hits does that."""


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """One instant of a series."""

    recurrence_id: str
    """The local start that the rule gave, with the offset where the clock shows it twice; a move does not change it."""
    scheduled_at: datetime
    """In UTC."""
    local: datetime
    """`scheduled_at` in the series' zone."""
    flags: tuple[str, ...] = ()
    """`dst_adjusted`, `rdate`, `moved`."""
    original_at: datetime
    """The instant, in UTC, before any move: what an identity is derived from."""


class Moment(msgspec.Struct, frozen=True, order=True):
    """An instant in UTC, the local time that it stands for, and whether the rule gave it."""

    at: datetime
    local: datetime
    extra: bool = False


class Series(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The columns of a series. Building one validates nothing: `build.series` did, once."""

    start_at: datetime
    """The start's exact instant: of two passes of a local time, the one that was meant."""
    start_local: datetime
    """Naive: what was asked for, also where the clock never shows it."""
    zone: str = "UTC"
    rule: str | None = None
    """A normalised RRULE; None: once, at the start."""
    effective_until: datetime | None = None
    """The last instant that COUNT allows, computed once when the series was made."""
    rdates: tuple[datetime, ...] = ()
    exdates: tuple[datetime, ...] = ()
    dst_gap: DstGap = "shift"

    def next_after(self, instant: datetime, *, inclusive: bool = False) -> Occurrence | None:
        """Return the first occurrence after an instant (or at it); None if none is left."""
        found = self._from(instant)
        return next((self.occurrence(m) for m in found if m.at > instant or inclusive), None)

    def occurrences(self, start: datetime | None = None) -> Iterator[Occurrence]:
        """Yield the occurrences lazily, from `start` on (inclusive), or all of them."""
        return (self.occurrence(moment) for moment in self._from(start))

    def occurrence(self, moment: Moment) -> Occurrence:
        """Return what is to be known about a moment."""
        local = moment.at.astimezone(zone_of(self.zone))
        shown = local.replace(tzinfo=None, fold=0)
        adjusted = shown != moment.local
        flags = ("dst_adjusted",) if adjusted else ()
        return Occurrence(
            recurrence_id=(local if not adjusted and is_ambiguous(local) else moment.local).isoformat(),
            scheduled_at=moment.at,
            local=local,
            flags=(*flags, "rdate") if moment.extra else flags,
            original_at=moment.at,
        )

    def rule_moments(self, start: datetime | None = None) -> Iterator[Moment]:
        """Yield what the rule alone gives from `start` on, before EXDATE and RDATE."""
        if self.rule is None:
            if not (self.dst_gap == "skip" and self.starts_in_gap) and (start is None or self.start_at >= start):
                yield Moment(self.start_at.astimezone(UTC), self.start_local)
            return
        low = BEGIN if start is None else seconds_of(start)
        until = END if self.until is None else seconds_of(self.until)
        for at, local in self.seconds_from(max(low, self._start)):
            if at > until:
                return
            moment = Moment(EPOCH_UTC + timedelta(seconds=at), EPOCH + timedelta(seconds=local))
            if start is None or moment.at >= start:
                yield moment

    def given_by_rule(self, instants: Iterable[datetime]) -> set[datetime]:
        """Return those of some instants that the rule alone gives."""
        found: set[datetime] = set()
        coming = datetime.min.replace(tzinfo=UTC)
        for instant in sorted(instants):
            if coming < instant:  # else nothing lies between, and nobody has to look
                coming = next((moment.at for moment in self.rule_moments(instant)), datetime.max.replace(tzinfo=UTC))
            if coming == instant:
                found.add(instant)
        return found

    def _from(self, start: datetime | None) -> Iterator[Moment]:
        """Yield the moments of the whole set from `start` on."""
        moments = self.rule_moments(start)
        if self.rdates:
            extra = self._extra if start is None else self._extra[bisect_left(self._extra, start, key=_at) :]
            moments = _distinct(merge(moments, extra, key=_at))
        return (moment for moment in moments if moment.at not in self._excluded) if self.exdates else moments

    def seconds_from(self, instant: int) -> Iterator[tuple[int, int]]:
        """Yield the rule's instants from one on, each with its local time, both in seconds; UNTIL does not end them."""
        stepped, local = self.stepped, seconds_of(self.start_local)
        if isinstance(stepped, Elapsed):
            for at in stepped.walk(instant):
                yield at, local if at == self._start else at + span_at(self.zone, at).offset
            return
        # A start that matches the rule is its first occurrence, also when it was meant as the second of two passes.
        if instant <= self._start and self.starts_on_rule:
            yield self._start, local
            instant = self._start + 1
        yield from self._resolved(stepped, instant, local)

    def _resolved(self, wall: WallClock, instant: int, first: int) -> Iterator[tuple[int, int]]:
        """Yield the instants from one on of the local times from `first` on, span by span of the zone's offset."""
        barren, last = 0, instant - 1
        while barren < _BARREN_SPANS and instant < END:
            span = span_at(self.zone, instant)
            barren += 1
            beyond: int | None = None
            for at, local in self._within(wall, instant, first, span):
                if at >= span.end:
                    beyond = local
                    break
                if at > last:
                    barren, last = 0, at
                    yield at, local
            if beyond is None:
                return
            instant = max(span.end, beyond - DAY)

    def _within(self, wall: WallClock, instant: int, first: int, span: Span) -> Iterator[tuple[int, int]]:
        """Yield local times by the offset of a span, in order of their instants; the first beyond its end ends it."""
        # What lies below `start + before` was shown in the span before: a second pass is no occurrence.
        low = max(instant + span.offset, span.start + max(span.before, span.offset), first)
        own = ((local - span.offset, local) for local in wall.walk(low))
        gap_from, gap_to = max(instant, span.start) + span.before, span.start + span.offset
        if self.dst_gap == "skip" or gap_from >= gap_to:
            return own
        # RFC 5545 3.3.5: what the gap before the span leaves out is read by the offset before it.
        gap = takewhile(lambda local: local < gap_to, wall.walk(max(gap_from, first)))
        return merge(own, ((local - span.before, local) for local in gap), key=_first)

    @cached_property
    def stepped(self) -> WallClock | Elapsed:
        """The rule, ready to be walked."""
        rule = parse_rule(self.rule or "")
        if rule.sub_daily:
            return Elapsed(rule, self._start, self.zone)
        return WallClock(rule, self.start_local)

    @cached_property
    def _start(self) -> int:
        return seconds_of(self.start_at)

    @property
    def starts_in_gap(self) -> bool:
        """Whether the clock never shows the start's local time."""
        return self.start_at.astimezone(zone_of(self.zone)).replace(tzinfo=None, fold=0) != self.start_local

    @cached_property
    def starts_on_rule(self) -> bool:
        """Whether the start is an occurrence; where it is not, it is left out."""
        stepped, local = self.stepped, seconds_of(self.start_local)
        if isinstance(stepped, Elapsed):
            return next(stepped.walk(self._start), None) == self._start
        return next(stepped.walk(local), None) == local and not (self.dst_gap == "skip" and self.starts_in_gap)

    @cached_property
    def until(self) -> datetime | None:
        """The last instant that UNTIL or COUNT allows; None where the rule has no end."""
        return self.effective_until or (parse_rule(self.rule).until if self.rule else None)

    @cached_property
    def _extra(self) -> list[Moment]:
        zone = zone_of(self.zone)
        found = {at.astimezone(UTC) for at in self.rdates}
        return [Moment(at, at.astimezone(zone).replace(tzinfo=None, fold=0), extra=True) for at in sorted(found)]

    @cached_property
    def _excluded(self) -> frozenset[datetime]:
        return frozenset(self.exdates)


def _distinct(moments: Iterator[Moment]) -> Iterator[Moment]:
    """Drop the later of two moments at the same instant: the rule's comes first, and stays."""
    last: datetime | None = None
    for moment in moments:
        if moment.at != last:
            last = moment.at
            yield moment


def _at(moment: Moment) -> datetime:
    return moment.at


def _first(pair: tuple[int, int]) -> int:
    return pair[0]
