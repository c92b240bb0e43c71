"""Settle what came due while nobody ran, by each event's misfire policy, within the transaction that claimed it.

Of an event's overdue occurrences the newest few are delivered and those before them are missed, as one record with
their number. The claim that brought this to light is the oldest of them: it becomes the record, or is the first to go.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice, takewhile

import msgspec

from shared import planning
from shared.domain import misfire
from shared.domain.deliveries import ClaimedDelivery, PlannedDelivery
from shared.domain.ids import EventId, OccurrenceId
from shared.store import deliveries
from shared.store.events import Plan
from shared.store.pool import Connection

MOST_WALKED = 20_000
"""Occurrences of one event that one pass settles; what is left of a longer outage is settled by the next."""


class Settlement(msgspec.Struct, frozen=True):
    """What becomes of one overdue claim."""

    missed: int
    """The claim is missed, with so many in all; 0: it is delivered."""
    others: list[PlannedDelivery]
    """What else is delivered."""
    settled_until: datetime
    """The event is planned on after this."""


def is_late(claim: ClaimedDelivery) -> bool:
    """Tell whether a claim came so late that nobody can have run."""
    return claim.claimed_at - claim.scheduled_at > misfire.LATE_AFTER


async def settle(
    conn: Connection, late: Sequence[tuple[ClaimedDelivery, Plan]]
) -> tuple[set[OccurrenceId], dict[EventId, datetime]]:
    """Settle late claims; return those that are missed, and after which instant to plan each event on."""
    settled = [(claim, settlement_of(claim, plan)) for claim, plan in late]
    missed = {claim.occurrence_id: s.missed for claim, s in settled if s.missed}
    if missed:
        await deliveries.miss(conn, missed)
    caught_up = [claim.occurrence_id for claim, s in settled if not s.missed]
    if caught_up:
        await deliveries.mark_caught_up(conn, caught_up)
    others = [delivery for _, s in settled for delivery in s.others]
    if others:
        await deliveries.insert(conn, others)
    return set(missed), {claim.event_id: s.settled_until for claim, s in settled}


def settlement_of(claim: ClaimedDelivery, plan: Plan) -> Settlement:
    """Decide about an event's overdue occurrences, of which the claim's is the oldest."""
    now = claim.claimed_at
    coming = planning.in_place(plan, claim.scheduled_at)
    due = list(islice(takewhile(lambda o: o.scheduled_at <= now, coming), MOST_WALKED))
    times = [o.scheduled_at for o in due]
    whole = len(due) < MOST_WALKED
    delivered = misfire.newest_to_deliver(times, plan.misfire, now=now) if whole else 0
    missed = len(due) - delivered
    others = planning.caught_up(
        plan, due[max(missed, 1) :], now=now, missed=missed if plan.misfire.policy == "latest" else 0
    )
    return Settlement(missed, others, times[-1] if times else claim.scheduled_at)
