"""Judge a run: what was lost, doubled or early, and how long each fault was felt. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import quantiles

import msgspec

from tests.chaos.ledger import Arrival

READING_SECONDS = 0.001
"""How far two readings of one clock may be apart, so that an arrival is not early yet."""
LATE_SECONDS = 1.0
"""What is later than this feels a fault."""
HORIZON_SECONDS = 2.0
"""How far ahead of its time a delivery may be under way, so that a fault can harm it."""


class Strike(msgspec.Struct, frozen=True, kw_only=True):
    """A fault as it happened."""

    fault: str
    at: float
    until: float
    """When all that it broke runs again."""
    in_flight: frozenset[str] = frozenset()
    """Occurrences whose request may have been on the wire, and which may therefore come once more."""

    def explains(self, occurrence_id: str, last_at: float) -> bool:
        """Tell whether an occurrence that came for the last time at `last_at` may have come once more by this."""
        return occurrence_id in self.in_flight and self.at <= last_at


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """All that was seen of a run. Times are Unix seconds, durations seconds."""

    due: Mapping[str, float]
    """What must arrive: each occurrence and its time."""
    arrivals: Sequence[Arrival]
    strikes: Sequence[Strike]
    begin: float
    end: float
    """Of the load."""
    unanswered: int = 0
    """Requests to the API that were not answered 201; each may have made an event nevertheless."""
    unfinished: int = 0
    """Deliveries that are still to be made at the end."""
    records: Mapping[str, int] = {}
    """Finished occurrences by status."""
    fates: Mapping[str, str] = {}
    """What the database knows of those that did not arrive."""
    crashes: Sequence[str] = ()
    """Processes that ended by themselves."""


class Duplicate(msgspec.Struct, frozen=True, kw_only=True):
    """An occurrence that arrived more than once."""

    occurrence_id: str
    at: tuple[float, ...]
    attempts: tuple[int, ...]
    faults: tuple[str, ...]
    """What it was in flight at; each explains one more arrival."""

    @property
    def is_explained(self) -> bool:
        """Whether faults account for all of its arrivals."""
        return len(self.at) - 1 <= len(self.faults)


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """How a fault was felt by what came due from then until the next one."""

    fault: str
    after_begin: float
    lasted: float
    seconds: float
    """From the fault until the last late arrival; 0 when none was late."""
    late: int
    duplicates: int


class Lateness(msgspec.Struct, frozen=True, kw_only=True):
    """First arrivals, in seconds after their time."""

    p50: float
    p99: float
    longest: float


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the run came to; good when `violations` is empty."""

    sent: int
    received: int
    lost: tuple[str, ...]
    duplicates: tuple[Duplicate, ...]
    early: tuple[Arrival, ...]
    unexpected: tuple[str, ...]
    longest_gap: float
    lateness: Lateness
    recoveries: tuple[Recovery, ...]
    violations: tuple[str, ...]


def judge(run: Run) -> Verdict:
    """Return what the run came to."""
    by_id: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in sorted(run.arrivals, key=lambda arrival: arrival.at):
        by_id[arrival.occurrence_id].append(arrival)
    lost = tuple(sorted(run.due.keys() - by_id.keys()))
    duplicates = tuple(duplicate_of(came, run.strikes) for came in by_id.values() if len(came) > 1)
    early = tuple(a for a in run.arrivals if a.at < a.scheduled_at - READING_SECONDS)
    unexpected = tuple(sorted(by_id.keys() - run.due.keys()))
    first = [came[0] for came in by_id.values()]
    return Verdict(
        sent=len(run.due),
        received=len(by_id.keys() & run.due.keys()),
        lost=lost,
        duplicates=duplicates,
        early=early,
        unexpected=unexpected,
        longest_gap=longest_gap([a.at for a in run.arrivals], begin=run.begin, end=run.end),
        lateness=lateness_of(first),
        recoveries=tuple(recoveries(run, first, duplicates)),
        violations=tuple(
            f"{count} {what}"
            for what, count in {
                "lost": len(lost),
                "early": len(early),
                "duplicates that no fault explains": sum(not d.is_explained for d in duplicates),
                "arrivals that nobody asked for": max(0, len(unexpected) - run.unanswered),
                "deliveries left undone": run.unfinished,
                "records that are not `delivered`": sum(n for s, n in run.records.items() if s != "delivered"),
                "processes ended by themselves": len(run.crashes),
            }.items()
            if count
        ),
    )


def duplicate_of(came: Sequence[Arrival], strikes: Sequence[Strike]) -> Duplicate:
    """Return what explains the arrivals of one occurrence, in order of time."""
    id_ = came[0].occurrence_id
    return Duplicate(
        occurrence_id=id_,
        at=tuple(a.at for a in came),
        attempts=tuple(a.attempt for a in came),
        faults=tuple(s.fault for s in strikes if s.explains(id_, came[-1].at)),
    )


def longest_gap(times: Sequence[float], *, begin: float, end: float) -> float:
    """Return the longest time without an arrival between `begin` and `end`."""
    return max(
        after - before for before, after in pairwise(sorted([begin, *(t for t in times if begin < t < end), end]))
    )


def lateness_of(first: Sequence[Arrival]) -> Lateness:
    """Return how late the first arrivals were."""
    late = [a.at - a.scheduled_at for a in first]
    if len(late) < 2:
        return Lateness(p50=sum(late), p99=sum(late), longest=sum(late))
    cuts = quantiles(late, n=100)
    return Lateness(p50=cuts[49], p99=cuts[98], longest=max(late))


def recoveries(run: Run, first: Sequence[Arrival], duplicates: Sequence[Duplicate]) -> list[Recovery]:
    """Return how each fault was felt. A delivery is late by the last fault that it can have met at its time."""
    bounds = pairwise([*(strike.at for strike in run.strikes), float("inf")])
    found: list[Recovery] = []
    for strike, (_, next_at) in zip(run.strikes, bounds, strict=True):
        late = [
            a.at
            for a in first
            if a.at - a.scheduled_at > LATE_SECONDS
            and a.at > strike.at
            and strike.at - HORIZON_SECONDS <= a.scheduled_at < next_at - HORIZON_SECONDS
        ]
        found.append(
            Recovery(
                fault=strike.fault,
                after_begin=strike.at - run.begin,
                lasted=strike.until - strike.at,
                seconds=max(late, default=strike.at) - strike.at,
                late=len(late),
                duplicates=sum(strike.explains(d.occurrence_id, d.at[-1]) for d in duplicates),
            )
        )
    return found
