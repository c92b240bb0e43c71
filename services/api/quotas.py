"""How many events one `sub` may have, and may create in a minute.

Counting is rare: each count lets a process create a share of what is left without another one. The shares of up to
`PROCESSES` of them stay within the quota; requests that count at the same moment may overdraw it a little.
"""

from __future__ import annotations

import math
import time
from datetime import datetime, timedelta

import msgspec

from services.api.callers import Caller
from shared.errors import Forbidden, QuotaExceeded
from shared.store import usage
from shared.store.pool import Connection

PROCESSES = 16
FRESH = timedelta(seconds=60)
"""For so long a process trusts its count."""
MOST_SUBS = 10_000
"""Whose counts a process remembers."""


class Allowance(msgspec.Struct):
    """What a sub may still create before its events are counted again, and until when."""

    left: int
    until: float


class Quotas:
    """Keeps the subs of one process within their quotas. The master has none."""

    def __init__(self, *, active_events: int, creates_per_minute: int) -> None:
        self._active_events = active_events
        self._creates_per_minute = creates_per_minute
        self._allowances: dict[str, Allowance] = {}

    async def require(self, conn: Connection, caller: Caller, number: int, *, now: datetime) -> None:
        """Raise Forbidden or QuotaExceeded when the caller may not create so many more events."""
        if caller.access == "master":
            return
        allowance = self._allowances.get(caller.sub)
        if allowance is not None and allowance.left >= number and time.monotonic() < allowance.until:
            allowance.left -= number
            return
        room = min(await self._room(conn, caller.sub, number), await self._pace(conn, caller.sub, number, now=now))
        if len(self._allowances) >= MOST_SUBS:
            self._allowances.clear()
        share = (room - number) // PROCESSES
        self._allowances[caller.sub] = Allowance(share, time.monotonic() + FRESH.total_seconds())

    async def _room(self, conn: Connection, sub: str, number: int) -> int:
        active = await usage.active_events(conn, sub, at_most=self._active_events)
        if active + number > self._active_events:
            raise Forbidden(
                f"{sub} has {active} active events of at most {self._active_events}, and this would add {number}: "
                "delete some that are not needed any more.",
                code="quota_exceeded",
            )
        return self._active_events - active

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
