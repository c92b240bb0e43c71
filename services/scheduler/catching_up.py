"""Settle what came due while nobody ran, by each event's misfire policy, within the transaction that claimed it.

Of an event's overdue occurrences the newest few are delivered and those before them are missed. Each moved one has a
claim, and at its end a record, of its own; those in place have one claim, the oldest of them: it is the first to be
delivered, or becomes the record of all that are missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from shared import overdue, planning
from shared.domain import durations, epochs, misfire
from shared.domain.deliveries import ClaimedDelivery, PlannedDelivery
from shared.domain.ids import EventId, OccurrenceId
from shared.recurrence import Occurrence
from shared.store import deliveries, planned_deliveries
from shared.store.events import Plan
from shared.store.pool import Connection


class Pace:
    """When the occurrences of one event after the other may be caught up on, so that they never come all at once."""

    EACH = timedelta(milliseconds=2)
    """What one delivery takes of a scheduler's time for late ones; the rest is for what is due now."""

    def __init__(self) -> None:
        self._free_at = datetime.min.replace(tzinfo=UTC)

    def begin(self, number: int, *, now: datetime) -> datetime:
        """Return when the first of an event's `number` late deliveries may go out."""
        begin = max(now, self._free_at)
        self._free_at = begin + self.EACH * number
        return begin


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of overdue claims."""

    missed: dict[OccurrenceId, int]
    """Those that are missed, each with the number of occurrences that its record stands for."""
    delivered: dict[OccurrenceId, int]
    """Those that are delivered late, each with the number of those before it that are not."""
    others: list[Occurrence] = []
    """What else is delivered."""
    left_out: int = 0
    """How many occurrences before those are not."""


def is_late(claim: ClaimedDelivery) -> bool:
    """Tell whether a claim is an occurrence's first and came so late that nobody can have run."""
    return _is_first_by_timing(claim) and claim.claimed_at - claim.scheduled_at > misfire.LATE_AFTER


async def settle(
    conn: Connection, claimed: Sequence[ClaimedDelivery], plans: Mapping[EventId, Plan | None], pace: Pace
) -> set[OccurrenceId]:
    """Settle what is due of the recurring events that have late claims; return the claims that are missed."""
    late = {claim.event_id for claim in claimed if is_late(claim)}
    claims: dict[EventId, list[ClaimedDelivery]] = {}
    for claim in claimed:
        if claim.event_id in late and _is_first_by_timing(claim) and claim.scheduled_at <= claim.claimed_at:
            claims.setdefault(claim.event_id, []).append(claim)
    recurring = {id_: plan for id_, plan in plans.items() if id_ in late and plan and plan.timing.recurs}
    missed: dict[OccurrenceId, int] = {}
    delivered: dict[OccurrenceId, int] = {}
    others: list[PlannedDelivery] = []
    for id_, plan in recurring.items():
        settled = settlement_of(claims[id_], plan)
        missed |= settled.missed
        delivered |= settled.delivered
        begin = pace.begin(len(settled.others), now=claims[id_][0].claimed_at)
        if settled.delivered:
            begin += planning.PACE  # those are on their way already, and come first
        others += planning.caught_up(plan, settled.others, begin=begin, left_out=settled.left_out)
    if missed:
        await deliveries.miss(conn, missed)
    if delivered:
        await deliveries.mark_caught_up(conn, delivered)
    if others:
        await planned_deliveries.insert(conn, others)
    return set(missed)


def settlement_of(claims: Sequence[ClaimedDelivery], plan: Plan) -> Settlement:
    """Decide about an event's claims and, where the oldest in place is among them, all that is overdue."""
    now, series, policy = claims[0].claimed_at, planning.series_of(plan), plan.misfire.policy
    not_before = now - durations.parse(plan.misfire.grace)
    since, most = min(claim.scheduled_at for claim in claims), misfire.MOST_DELIVERED[policy]
    due = overdue.divide(series, since=since, until=now, not_before=not_before, most=most)
    left_out = due.left_out if policy == "latest" else 0
    moved = {planning.planned(plan, o).occurrence_id for o in series.moved}
    newest = {planning.planned(plan, o).occurrence_id for o in due.delivered}
    # A change of the timing may have left a claim behind that is no occurrence any more: it is judged by itself.
    strays = {c.occurrence_id for c in claims if not c.chained and c.scheduled_at >= not_before} - moved
    kept = newest | strays if most else newest
    delivered = {c.occurrence_id: left_out for c in claims if c.occurrence_id in kept}
    missed = {c.occurrence_id: 1 for c in claims if c.occurrence_id not in delivered}
    head = next((c for c in claims if c.chained), None)
    if head is None:
        return Settlement(missed=missed, delivered=delivered)
    in_place = [o for o in due.delivered if "moved" not in o.flags and o.scheduled_at >= head.scheduled_at]
    if head.occurrence_id in missed:
        missed[head.occurrence_id] = series.count_in_place(head.scheduled_at, now) - len(in_place)
    others = [o for o in in_place if o.scheduled_at > head.scheduled_at]
    return Settlement(missed=missed, delivered=delivered, others=others, left_out=left_out)


def _is_first_by_timing(claim: ClaimedDelivery) -> bool:
    return claim.by_timing and epochs.is_first_claim(claim.epoch)
