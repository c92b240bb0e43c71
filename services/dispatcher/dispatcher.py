"""The dispatcher: from messages, by way of due times and attempts, to results.

It takes on only what it has room for, starts an attempt at its due time and not before, and forgets a message only
when the result is in PostgreSQL. Dying at any point costs some delay and, at worst, one request made twice.
"""

from __future__ import annotations

import asyncio
import os
import socket
from datetime import datetime, timedelta
from random import SystemRandom
from secrets import token_hex
from time import monotonic

import aiohttp
import msgspec
import structlog

from services.dispatcher import judgement, results, sender, spans
from services.dispatcher.breakers import Breakers
from services.dispatcher.holdings import Holdings
from services.dispatcher.lanes import Lanes
from services.dispatcher.request import request_of, secrets_of
from services.dispatcher.results import Result
from services.dispatcher.settings import DispatcherSettings
from shared import metrics, process, tracing
from shared.domain import destinations, durations
from shared.domain.attempts import Attempt, Outcome
from shared.domain.deliveries import DueDelivery, Held
from shared.errors import BodyTooLarge, SecretUnreadable
from shared.process import CONNECTION_LOST
from shared.sealing import Seals
from shared.store import deliveries
from shared.store.clock import DatabaseClock
from shared.store.pool import Connection, Pool
from shared.stream import deliveries as stream
from shared.stream.client import Redis, RedisError

MOST_HELD = 10_000
MOST_IN_FLIGHT = 1_500
READ_COUNT = 256
LOAD_COUNT = 256
LONGEST_BLOCK = timedelta(seconds=1)
SHORTEST_PAUSE = timedelta(milliseconds=1)
BUSY_PAUSE = timedelta(milliseconds=2)
"""Between two looks for a free place in a lane."""
PULSE = timedelta(milliseconds=20)
FULL_PAUSE = timedelta(milliseconds=5)
PUT_OFF_EVERY = timedelta(milliseconds=50)
PUT_OFF_LEAST, PUT_OFF_SHARE = 32, 1 / 32
"""How many of those that wait are put off at once: to claim and put off again must not take time from the others."""
PROBE_PAUSE = timedelta(seconds=2)
"""How long the others wait while one delivery tries whether their destination answers again."""
SYNC_EVERY = timedelta(seconds=5)
GRACE = timedelta(seconds=15)
LONGEST_FLUSH = timedelta(seconds=4)
LEASE_MARGIN = timedelta(seconds=10)

log = structlog.get_logger()


class Dispatcher:
    """One process's share of the work; `run` makes and ends everything in it."""

    def __init__(
        self, config: DispatcherSettings, pool: Pool, redis: Redis, reading: Redis, session: aiohttp.ClientSession
    ) -> None:
        self.consumer = f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}"
        self._config = config
        self._seals = Seals(config.encryption_keys)
        self._pool = pool
        self._redis = redis
        self._reading = reading
        self._session = session
        self._clock = DatabaseClock()
        self._random = SystemRandom()
        self._holdings = Holdings(MOST_HELD)
        self._lanes = Lanes()
        self._breakers = Breakers()
        self._attempts: dict[asyncio.Task[None], DueDelivery] = {}
        self._results: asyncio.Queue[Result] = asyncio.Queue()
        self._unwritten: list[Result] = []
        self._forgettable: list[bytes] = []
        self._arrived = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then finish or hand back everything that is held."""
        await process.once("clock", self._sync, stop)
        drained = asyncio.Event()
        async with asyncio.TaskGroup() as outer:
            outer.create_task(process.repeat("write", self._write, drained))
            try:
                async with asyncio.TaskGroup() as inner:
                    inner.create_task(process.repeat("sync", self._sync, stop))
                    inner.create_task(process.repeat("look", lambda: self._breakers.look(self._pool), stop))
                    inner.create_task(process.repeat("read", self._read, stop))
                    inner.create_task(process.repeat("start", self._start_due, stop, wake=self._arrived))
                    inner.create_task(process.repeat("feel", self._feel, stop))
                    inner.create_task(process.repeat("put off", self._put_off, stop))
            finally:
                await self._drain()
                drained.set()

    async def _sync(self) -> timedelta:
        async with self._pool.connection() as conn:
            await self._clock.sync(conn)
        return SYNC_EVERY

    async def _feel(self) -> timedelta:
        """Let the lanes know how long everything takes to get its turn in this process."""
        begun = monotonic()
        await asyncio.sleep(PULSE.total_seconds())
        self._lanes.feel(timedelta(seconds=monotonic() - begun) - PULSE)
        return timedelta(0)

    async def _read(self) -> timedelta:
        """Take on new messages, as many as there is room for."""
        room = self._holdings.room
        if room <= 0:
            return timedelta(milliseconds=10)
        count = min(READ_COUNT, room)
        for message in await stream.read(self._reading, self.consumer, count=count, block=LONGEST_BLOCK):
            if not self._holdings.add(message):
                self._forgettable.append(message.id)
        self._arrived.set()
        return timedelta(0)

    async def _start_due(self) -> timedelta:
        """Start the attempts whose time has come; return how long until more can be started."""
        self._arrived.clear()
        for held, destination in self._holdings.take_due(self._clock.now()):
            self._lanes.add(held, destination)
        room = MOST_IN_FLIGHT - len(self._attempts)
        blocked = self._breakers.blocked(self._lanes.waiting_for)
        await self._begin(self._lanes.take(min(LOAD_COUNT, room), but=blocked))
        if room <= 0:
            return FULL_PAUSE
        longest = BUSY_PAUSE if self._lanes.waiting_for else LONGEST_BLOCK
        next_due_at = self._holdings.next_due_at
        if next_due_at is None:
            return longest
        return max(SHORTEST_PAUSE, min(longest, timedelta(seconds=self._clock.seconds_until(next_due_at))))

    async def _put_off(self) -> timedelta:
        """Give back some of what cannot be attempted soon; let one try whether a blocked destination answers again.

        Apart from what can be attempted, which must not wait for it.
        """
        now = self._clock.now()
        limit = max(PUT_OFF_LEAST, int(self._lanes.waiting * PUT_OFF_SHARE))
        blocked = self._breakers.blocked(self._lanes.waiting_for)
        over = [id_ for id_, until in blocked.items() if until <= now]
        if over:
            async with self._pool.connection() as conn:
                free = await self._breakers.may_probe(conn, over)
            await self._begin([held for id_ in free for held in self._lanes.take_one(id_)])
        waiting: list[tuple[Held, timedelta]] = []
        for id_, until in blocked.items():
            free_at = max(until, now + PROBE_PAUSE)
            waiting += [
                (held, destinations.time_to_come_back(free_at, now=now, random=self._random))
                for held in self._lanes.take_waiting(id_, limit - len(waiting))
            ]
        surplus = self._lanes.surplus(room=self._holdings.room, limit=limit - len(waiting))
        if waiting or surplus:
            await self._defer([*waiting, *surplus])
        metrics.DEFERRED.labels(why="destination_blocked").inc(len(waiting))
        metrics.DEFERRED.labels(why="lane_full").inc(len(surplus))
        return PUT_OFF_EVERY

    async def _defer(self, put_off: list[tuple[Held, timedelta]]) -> None:
        try:
            async with self._pool.connection() as conn:
                await deliveries.defer(conn, put_off)
        except CONNECTION_LOST:
            self._lanes.put_back([held for held, _ in put_off])
            raise
        for held, _ in put_off:
            self._lanes.end(held)
            self._drop(held)

    async def _begin(self, due: list[Held]) -> None:
        if not due:
            return
        asked_at = monotonic()
        try:
            async with self._pool.connection() as conn:
                begun = await _hold_long_enough(conn, await deliveries.begin(conn, due))
        except CONNECTION_LOST:
            self._lanes.put_back(due)
            raise
        # The answer may have been long under way, or this process frozen: then the lease is another's by now.
        waited = monotonic() - asked_at
        begun = [d for d in begun if d.lease_left - waited > durations.parse(d.content.timeout).total_seconds()]
        for held in set(due) - {Held(d.occurrence_id, d.epoch) for d in begun}:
            metrics.STALE.inc()
            self._lanes.end(held)
            self._drop(held)
        for delivery in begun:
            end = judgement.instead_of_attempt(delivery)
            if end is not None:
                self._lanes.end(Held(delivery.occurrence_id, delivery.epoch))
                self._results.put_nowait(Result(event_id=delivery.event_id, end=end, request_id=delivery.request_id))
                continue
            task = asyncio.create_task(self._attempt(delivery))
            self._attempts[task] = delivery
            task.add_done_callback(self._attempts.pop)

    async def _attempt(self, due: DueDelivery) -> None:
        held = Held(due.occurrence_id, due.epoch)
        self._lanes.begin(held)
        started_at = self._clock.now()
        metrics.LATENESS.observe(max(0.0, (started_at - judgement.asked_for_at(due)).total_seconds()))
        timeout = durations.parse(due.content.timeout)
        try:
            secrets = secrets_of(due, self._seals, default=self._config.default_hmac_secret)
            request = request_of(due, now=started_at, secrets=secrets)
            attempt = await sender.send(self._session, request, due, within=timeout, started_at=started_at)
            if tracing.is_on():
                tracing.tell(spans.of_attempt(request, due, attempt))
        except asyncio.CancelledError:
            attempt = _unanswered(due, started_at, self._clock.now(), Outcome.INTERRUPTED, "the dispatcher had to stop")
        except SecretUnreadable as error:
            attempt = _unanswered(due, started_at, self._clock.now(), Outcome.CANNOT_SIGN, str(error))
        except BodyTooLarge as error:
            attempt = _unanswered(due, started_at, self._clock.now(), Outcome.INVALID_REQUEST, str(error))
        except Exception as error:  # one delivery that trips over our own bug must not stop the others
            log.exception("attempt.crashed", occurrence_id=str(due.occurrence_id), event_id=str(due.event_id))
            attempt = _unanswered(due, started_at, self._clock.now(), Outcome.INVALID_REQUEST, type(error).__name__)
        self._lanes.end(held, answered=destinations.is_answered(attempt))
        end, disables_event = judgement.after_attempt(due, attempt, self._random)
        self._results.put_nowait(
            Result(
                event_id=due.event_id,
                end=end,
                attempt=attempt,
                disables_event=disables_event,
                request_id=due.request_id,
            )
        )

    async def _write(self) -> timedelta:
        """Write a batch of results; what could not be written is kept for the next pass."""
        if not self._unwritten:
            self._unwritten = await results.collect(self._results)
        if self._unwritten:
            async with self._pool.connection() as conn:
                await results.write(conn, self._unwritten)
                await self._breakers.learn(conn, [r.attempt for r in self._unwritten if r.attempt])
            for result in self._unwritten:
                self._drop(result.claim)
                self._results.task_done()
            self._unwritten = []
        await self._forget()
        return timedelta(0)

    def _drop(self, held: Held) -> None:
        message_id = self._holdings.drop(held)
        if message_id is not None:
            self._forgettable.append(message_id)

    async def _forget(self) -> None:
        ids, self._forgettable = self._forgettable, []
        if not ids:
            return
        try:
            await stream.forget(self._redis, ids)
        except RedisError:
            self._forgettable = ids + self._forgettable
            raise

    async def _drain(self) -> None:
        """Hand back what has not begun, let what has begun end, and cut off what does not end in time."""
        await self._hand_back(self._holdings.all)
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=GRACE.total_seconds())
        for task in list(self._attempts):
            task.cancel()
        await asyncio.gather(*self._attempts)
        try:
            async with asyncio.timeout(LONGEST_FLUSH.total_seconds()):
                await self._results.join()
                await self._forget()
                await stream.remove_consumer(self._redis, self.consumer)
        except (*CONNECTION_LOST, TimeoutError) as error:
            log.warning("dispatcher.left_to_leases", error=str(error), results=self._results.qsize())

    async def _hand_back(self, held: list[Held]) -> None:
        if not held:
            return
        try:
            async with self._pool.connection() as conn:
                released = await deliveries.release(conn, held)
        except CONNECTION_LOST as error:
            log.warning("dispatcher.left_to_leases", error=str(error), claims=len(held))
            return
        metrics.RELEASED.labels(why="stopping").inc(len(released))
        for each in held:
            if each.occurrence_id in released:
                self._drop(each)


def _unanswered(due: DueDelivery, started_at: datetime, now: datetime, outcome: Outcome, error: str) -> Attempt:
    """Return the record of an attempt that came to no answer for a reason of our own."""
    return Attempt(
        occurrence_id=due.occurrence_id,
        epoch=due.epoch,
        number=due.attempts + 1,
        started_at=started_at,
        duration_ms=(now - started_at) // timedelta(milliseconds=1),
        outcome=outcome,
        url=due.webhook_url,
        error=error,
    )


async def _hold_long_enough(conn: Connection, begun: list[DueDelivery]) -> list[DueDelivery]:
    """Return the deliveries whose lease outlasts their attempt, after making it longer where it would not."""
    short: dict[Held, timedelta] = {}
    for due in begun:
        longest = 2 * durations.parse(due.content.timeout) + LEASE_MARGIN
        if timedelta(seconds=due.lease_left) < longest:
            short[Held(due.occurrence_id, due.epoch)] = longest
    if not short:
        return begun
    extended = await deliveries.extend(conn, list(short.items()))
    held_for = {held.occurrence_id: lease.total_seconds() for held, lease in short.items()}
    return [
        msgspec.structs.replace(due, lease_left=held_for[due.occurrence_id]) if due.occurrence_id in extended else due
        for due in begun
        if due.occurrence_id in extended or due.occurrence_id not in held_for
    ]
