"""What this dispatcher knows of the destinations that are blocked, and whose turn it is to try one again.

The truth is in PostgreSQL; this copy is a second old at most.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from shared.domain import destinations
from shared.domain.attempts import Attempt
from shared.domain.destinations import DestinationId
from shared.store import destinations as store
from shared.store.pool import Connection, Pool

LOOK_EVERY = timedelta(seconds=1)
PROBE_HOLD = timedelta(seconds=75)
"""Longer than the longest attempt, so that one probe ends before another may begin."""


class Breakers:
    """The circuit breakers, one for each destination that has failed since it last answered."""

    def __init__(self) -> None:
        self._known: dict[DestinationId, datetime | None] = {}

    async def look(self, pool: Pool) -> timedelta:
        """See what other dispatchers found out."""
        async with pool.connection() as conn:
            self._known = await store.known(conn)
        return LOOK_EVERY

    def blocked(self, among: Iterable[DestinationId]) -> dict[DestinationId, datetime]:
        """Return those destinations that are not to be called freely, and until when they are blocked.

        A time that has passed means that one delivery may try, after `may_probe`.
        """
        return {id_: until for id_ in among if (until := self._known.get(id_)) is not None}

    async def may_probe(self, conn: Connection, ids: list[DestinationId]) -> set[DestinationId]:
        """Return the destinations that this dispatcher, and no other, may try with one delivery."""
        if not ids:
            return set()
        return await store.probe(conn, ids, hold=PROBE_HOLD)

    async def learn(self, conn: Connection, attempts: Iterable[Attempt]) -> None:
        """Let the health of destinations follow from attempts; where all is well, nothing is written."""
        tallies = destinations.tally(attempts)
        news = {id_: tally for id_, tally in tallies.items() if tally.failures or id_ in self._known}
        if news:
            await store.record(conn, news)
            self._known = await store.known(conn)
