"""A running dispatcher, and what its tests ask and do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network

from services.dispatcher import dispatcher, sender
from services.dispatcher.dispatcher import Dispatcher
from services.dispatcher.settings import DispatcherSettings
from shared.domain.attempts import Attempt
from shared.domain.content import Content
from shared.domain.deliveries import ClaimedDelivery
from shared.domain.destinations import DestinationId
from shared.domain.events import Event
from shared.settings import Keys, Networks
from shared.store import attempts, deliveries, planned_deliveries
from shared.store.pool import Connection, Pool
from shared.stream import deliveries as stream
from shared.stream.client import Redis, open_client
from tests.factories import SECOND, content_of, planned_of, states_of, utc_now
from tests.integration.waiting import until
from tests.receiver import Answer, Receiver, Request

LOOPBACK: Networks = (ip_network("127.0.0.0/8"),)


class Holding:
    """An answer that the receiver keeps back until it is let go."""

    def __init__(self, receiver: Receiver, status: int = 200) -> None:
        self._let_go = asyncio.Event()
        self._status = status
        receiver.answer_with(self._decide)

    def let_go(self) -> None:
        self._let_go.set()

    def let_go_later(self) -> None:
        """Let it go when a stop that follows has been asked for."""
        asyncio.get_running_loop().call_later(0.1, self._let_go.set)

    async def _decide(self, request: Request) -> Answer:
        if request.path == "/hook":
            await self._let_go.wait()
        return Answer(status=self._status)


class World:
    """What a test of a running dispatcher asks and does."""

    def __init__(self, pool: Pool, redis: Redis, redis_url: str, conn: Connection) -> None:
        self.pool = pool
        self.redis = redis
        self.conn = conn
        self._redis_url = redis_url

    @asynccontextmanager
    async def running(self, *, allowed: Networks = LOOPBACK, keys: Keys = ()) -> AsyncGenerator[Dispatcher]:
        """Run a dispatcher in the block, and stop it gracefully at its end."""
        config = DispatcherSettings(
            env="test", database_url="", redis_url="", egress_allow=allowed, encryption_keys=keys
        )
        stop = asyncio.Event()
        async with (
            open_client(self._redis_url, longest_block=dispatcher.LONGEST_BLOCK.total_seconds()) as reading,
            sender.open_session(allowed) as session,
            asyncio.TaskGroup() as tasks,
        ):
            work = Dispatcher(config, self.pool, self.redis, reading, session)
            tasks.create_task(work.run(stop))
            try:
                yield work
            finally:
                stop.set()
                await self.redis.xadd(stream.STREAM, {"v": "wake up"})

    async def publish(self, *claims: ClaimedDelivery) -> None:
        await stream.publish(self.redis, claims)

    async def claimed(self, event: Event, number: int) -> list[ClaimedDelivery]:
        """Store so many deliveries of an event that are overdue, and claim them."""
        planned = [planned_of(event, utc_now() - n * SECOND) for n in range(1, number + 1)]
        await planned_deliveries.insert(self.conn, planned)
        claims = await deliveries.claim_due(self.conn, limit=1000)
        return [claim for claim in claims if claim.event_id == event.id]

    async def until_all_are(self, event: Event, *states: str) -> None:
        async def reached() -> bool:
            return sorted((await states_of(self.conn, event.id)).values()) == sorted(states)

        await until(reached)

    async def until_it_knows(self, work: Dispatcher, destination: DestinationId) -> None:
        """Return when a dispatcher knows that a destination is blocked."""

        async def knows() -> bool:
            return bool(work._breakers.blocked([destination]))  # pyright: ignore[reportPrivateUsage]

        await until(knows)

    async def until_forgotten(self) -> None:
        async def empty() -> bool:
            return await self.redis.xlen(stream.STREAM) == 0

        await until(empty)

    async def until_read(self, work: Dispatcher, number: int) -> None:
        async def read() -> bool:
            return len(await stream.pending_of(self.redis, work.consumer, count=100)) == number

        await stream.ensure_group(self.redis)
        await until(read)

    async def lease_of(self, claim: ClaimedDelivery) -> timedelta:
        cursor = await self.conn.execute(
            "SELECT next_at - now() FROM deliveries WHERE occurrence_id = %s AND leased", [claim.occurrence_id]
        )
        [row] = await cursor.fetchall()
        return row[0]

    async def attempts_of(self, claim: ClaimedDelivery) -> list[Attempt]:
        return await attempts.of_occurrence(self.conn, claim.occurrence_id, before=None, limit=10)

    async def until_attempted(self, claim: ClaimedDelivery) -> list[Attempt]:
        async def recorded() -> bool:
            return bool(await self.attempts_of(claim))

        await until(recorded)
        return await self.attempts_of(claim)


def to(receiver: Receiver, *, path: str = "/hook") -> Content:
    """Return the content of an event whose attempts outlast a slow machine."""
    return content_of(url=receiver.url(path), timeout="PT60S")
