"""How many events one delivery chain may create in a day: an agent that schedules itself without end is stopped.

Exact: a chain's events are counted under a lock that is held until the new ones are written. Only a request that names
its chain pays for it. Each sub's part of a chain is counted by itself, so nobody can use up or learn anybody else's.
It holds for the master too: such a loop is an accident, likeliest on a laptop where there is no other token.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from services.api.callers import Caller
from shared.domain import chains
from shared.domain.ids import ChainId
from shared.errors import FieldError, QuotaExceeded
from shared.store import usage
from shared.store.pool import Connection
from shared.store.usage import Chained, Member

WINDOW = timedelta(hours=24)


async def require(conn: Connection, caller: Caller, number: int, *, most: int, now: datetime) -> None:
    """Raise QuotaExceeded when the caller's chain may not create so many more events. The caller owns a transaction."""
    if caller.chain_id is None:
        return
    chained = Chained(chain_id=caller.chain_id, sub=caller.sub, since=now - WINDOW)
    await usage.lock_chain(conn, chained)
    created = await usage.created_in_chain(conn, chained)
    if created + number <= most:
        return
    in_the_way_at = await usage.creation_in_chain(conn, chained, place=created + number - most) or now
    again_at = in_the_way_at + WINDOW
    members = await usage.members_of_chain(conn, chained, sight=caller.sight)
    advice = (
        "If something schedules itself without end, delete those that go on, which `errors` names. That makes no room: "
        if members
        else ""
    )
    raise QuotaExceeded(
        f"The webhooks of the event {caller.chain_id}, and of the events that they led to, have created {created} "
        f"events in the last 24 hours, of at most {most}, and this would add {number}. "
        f"{advice}{'this' if advice else 'This'} would be admitted from {again_at:%Y-%m-%dT%H:%M:%SZ} on.",
        retry_after=max(1, math.ceil((again_at - now).total_seconds())),
        errors=[_named(member, caller.chain_id) for member in members],
    )


def _named(member: Member, chain: ChainId) -> FieldError:
    role = "began this chain" if member.id == chain else "was created in this chain"
    return FieldError(
        pointer=chains.HEADER,
        message=f'The event {member.id}, "{member.name}", {role} and is {member.status}.',
        hint=f"DELETE /events/{member.id}",
    )
