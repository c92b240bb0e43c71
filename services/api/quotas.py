"""How many events one `sub` may have, and may create in a minute.

Counting is rare: each count lets a process create a share of what is left without another one. The shares of up to
`PROCESSES` of them stay within the quota; requests that count at the same moment may overdraw it a little.
"""

from __future__ import annotations

import math
import time
from datetime import datetime, timedelta

import msgspec

from services.api import chain_quota
from services.api.callers import MASTER_SUB, Caller
from shared.domain.events import Event
from shared.errors import FieldError, Forbidden, QuotaExceeded
from shared.store import usage
from shared.store.pool import Connection
from shared.store.usage import Alike

PROCESSES = 16
FRESH = timedelta(seconds=60)
"""For so long a process trusts its count."""
NAMED_FOR = timedelta(seconds=10)
"""For so long it names the same events to delete: to find them takes a look at all that a sub has."""
MOST_SUBS = 10_000
"""Whose counts a process remembers."""


class Allowance(msgspec.Struct):
    """What a sub may still create before its events are counted again, and until when."""

    left: int
    until: float


class Quotas:
    """Keeps the subs of one process within their quotas. The master has none but that of a delivery chain."""

    def __init__(self, *, active_events: int, creates_per_minute: int, chain_events: int) -> None:
        self._active_events = active_events
        self._creates_per_minute = creates_per_minute
        self._chain_events = chain_events
        self._allowances: dict[str, Allowance] = {}
        self._named: dict[tuple[str, tuple[str, ...]], tuple[float, list[FieldError]]] = {}

    async def require(self, conn: Connection, caller: Caller, number: int, *, now: datetime) -> None:
        """Raise Forbidden or QuotaExceeded when the caller may not create so many more events.

        A caller that acts in a delivery chain owns a transaction.
        """
        await chain_quota.require(conn, caller, number, most=self._chain_events, now=now)
        if caller.access == "master" or self._take(caller.sub, number):
            return
        room = min(
            await self._room(conn, caller, caller.sub, number),
            await self._pace(conn, caller.sub, number, now=now),
        )
        if len(self._allowances) >= MOST_SUBS:
            self._allowances.clear()
        share = (room - number) // PROCESSES
        self._allowances[caller.sub] = Allowance(share, time.monotonic() + FRESH.total_seconds())

    async def require_revival(self, conn: Connection, caller: Caller, event: Event) -> None:
        """Raise Forbidden when an event that is not active may not become so: its creator has no room for it."""
        if caller.access == "master" or event.created_by == MASTER_SUB or event.status == "active":
            return
        if not self._take(event.created_by, 1):
            await self._room(conn, caller, event.created_by, 1)

    def _take(self, sub: str, number: int) -> bool:
        """Take from what a sub may still do without a count; False when that is not enough."""
        allowance = self._allowances.get(sub)
        if allowance is None or allowance.left < number or time.monotonic() >= allowance.until:
            return False
        allowance.left -= number
        return True

    async def _room(self, conn: Connection, caller: Caller, sub: str, number: int) -> int:
        active = await usage.active_events(conn, sub, at_most=self._active_events)
        if active + number <= self._active_events:
            return self._active_events - active
        if sub != caller.sub:
            raise Forbidden(f"{sub}, who created this event, may have no more active ones.", code="quota_exceeded")
        raise Forbidden(
            f"{sub} has {active} active events of at most {self._active_events}, and this would add {number}: "
            "delete some that are not needed any more. `errors` names those that there are most of.",
            code="quota_exceeded",
            errors=await self._to_delete(conn, caller),
        )

    async def _to_delete(self, conn: Connection, caller: Caller) -> list[FieldError]:
        key, moment = (caller.sub, caller.scope), time.monotonic()
        until, named = self._named.get(key, (moment, []))
        if moment < until:
            return named
        named = [_named(alike) for alike in await usage.most_alike(conn, caller.sub, sight=caller.sight)]
        if len(self._named) >= MOST_SUBS:
            self._named.clear()
        self._named[key] = (moment + NAMED_FOR.total_seconds(), named)
        return named

    async def _pace(self, conn: Connection, sub: str, number: int, *, now: datetime) -> int:
        created, first_at = await usage.created_since(conn, sub, now - timedelta(minutes=1))
        if created + number > self._creates_per_minute:
            again_at = (first_at or now) + timedelta(minutes=1)
            raise QuotaExceeded(
                f"{sub} has created {created} events in the last minute, of at most {self._creates_per_minute}, "
                f"and this would add {number}.",
                retry_after=max(1, math.ceil((again_at - now).total_seconds())),
            )
        return self._creates_per_minute - created


def _named(alike: Alike) -> FieldError:
    count = "the only active one of its kind" if alike.number == 1 else f"the oldest of {alike.number} that do the same"
    return FieldError(
        pointer="", message=f'The event {alike.id}, "{alike.name}", is {count}.', hint=f"DELETE /events/{alike.id}"
    )
