"""Whatever processes do to deliveries, in any order and however late: nothing is lost, doubled or turned back.

A model says what must be stored; after each step all that is stored is compared with it, and with the step before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from shared.domain import epochs
from shared.domain.deliveries import FinalStatus, Finished, Held, Retried
from shared.domain.events import Event
from shared.domain.ids import OccurrenceId
from shared.store import cancellations, deliveries, planned_deliveries, replays
from shared.store.deliveries import Newest
from shared.store.pool import Connection, open_pool
from tests.factories import HOUR, SECOND, an_event, planned_of, utc_now

T = TypeVar("T")

NOW_OR_LATER = st.sampled_from([timedelta(0), HOUR])
ENDINGS: list[FinalStatus | None] = ["delivered", "failed", None, None]
"""None: it is tried again."""
PICKS = st.lists(st.integers(0, 7), min_size=1, max_size=4)
"""Which of what there is, counted from the newest; the same may be picked twice."""

SETTINGS = settings(
    max_examples=120, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


class Stored(msgspec.Struct, frozen=True):
    """What the tables hold of an occurrence; `status` is None while it is live."""

    epoch: int
    attempts: int = 0
    status: str | None = None
    leased: bool = False
    begun: bool = False


async def all_stored(conn: Connection) -> dict[OccurrenceId, Stored]:
    cursor = await conn.execute("""
        SELECT occurrence_id, epoch, attempts, NULL, leased, begun FROM deliveries
         UNION ALL
        SELECT id, epoch, attempt_count, status, false, false FROM occurrences
    """)
    rows = await cursor.fetchall()
    found = {OccurrenceId(row[0]): Stored(*row[1:]) for row in rows}
    assert len(found) == len(rows), "an occurrence is in two places"
    return found


class Processes(RuleBasedStateMachine):
    """Schedulers, dispatchers and API at work on one table, each with claims of any age in its hands.

    Which of many a claim takes is not the same in two runs, so no rule has a precondition: what is drawn must be.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, conn: Connection, event: Event) -> None:
        super().__init__()
        self._loop = loop
        self.conn = conn
        self.event = event
        self.expected: dict[OccurrenceId, Stored] = {}
        self.before: dict[OccurrenceId, Stored] = {}
        self.claimable: set[OccurrenceId] = set()
        """Live ones that are due and not held, or whose lease is over."""
        self.claims: list[Held] = []
        self.begun: list[Held] = []
        self.results: dict[Held, Finished | Retried] = {}

    @initialize()
    def begin_with_nothing(self) -> None:
        self.run(self.conn.execute("DELETE FROM deliveries"))
        self.run(self.conn.execute("DELETE FROM occurrences"))
        for _ in range(3):
            self.plan()

    @rule()
    def plan(self) -> None:
        if len(self.expected) == 6:
            return
        planned = planned_of(self.event, utc_now() - (1 + len(self.expected)) * SECOND)
        assert self.run(planned_deliveries.insert(self.conn, [planned])) == {planned.occurrence_id}
        epoch = epochs.epoch_before_first_claim(self.event.version)
        self.expected[planned.occurrence_id] = Stored(epoch)
        self.claimable.add(planned.occurrence_id)

        again = msgspec.structs.replace(planned, event_version=2, scheduled_at=utc_now() + HOUR)
        assert self.run(planned_deliveries.insert(self.conn, [again])) == set()

    @rule(limit=st.integers(1, 4), newest=st.sampled_from([deliveries.NONE, Newest(5, share=1), Newest(5, share=5)]))
    def claim(self, limit: int, newest: Newest) -> None:
        claimed = self.run(deliveries.claim_due(self.conn, limit=limit, newest=newest, lease=HOUR))

        ids = [claim.occurrence_id for claim in claimed]
        assert len(set(ids)) == len(ids)
        assert set(ids) <= self.claimable
        assert len(ids) >= min(limit, len(self.claimable))
        for claim in claimed:
            before = self.expected[claim.occurrence_id]
            assert claim.epoch == before.epoch + 1
            self.expected[claim.occurrence_id] = Stored(claim.epoch, before.attempts, leased=True)
            self.claims.append(Held(claim.occurrence_id, claim.epoch))
        self.claimable -= set(ids)

    @rule(picks=PICKS)
    def begin(self, picks: list[int]) -> None:
        held = picked(self.claims, picks)
        begun = self.run(deliveries.begin(self.conn, held))

        found = [Held(due.occurrence_id, due.epoch) for due in begun]
        good = {h for h in held if self.is_waiting_for_its_attempt(h) and h.occurrence_id not in self.claimable}
        assert sorted(found, key=str) == sorted(good, key=str)
        assert not good & set(self.begun), "a claim began twice"
        for h in good:
            self.change(h.occurrence_id, begun=True)
        self.begun += found

    @rule(
        picks=PICKS,
        status=st.sampled_from(ENDINGS),
        delay=NOW_OR_LATER,
        requests=st.integers(0, 1),
    )
    def write_results(self, picks: list[int], status: FinalStatus | None, delay: timedelta, requests: int) -> None:
        """Write what became of attempts that have begun, some for the second time."""
        for h in picked(self.begun, picks):
            id_, epoch = h.occurrence_id, h.epoch
            ending = Retried(id_, epoch, delay, requests)
            if status is not None:
                ending = Finished(id_, epoch, status, None, requests)
            self.results.setdefault(h, ending)
        batch = [self.results[h] for h in picked(self.begun, picks)]
        self.finish([result for result in batch if isinstance(result, Finished)])
        self.retry([result for result in batch if isinstance(result, Retried)])

    def finish(self, finished: Sequence[Finished]) -> None:
        good = {f for f in finished if self.is_current(f)}
        ended = self.run(deliveries.finish(self.conn, finished))

        assert ended == {Held(f.occurrence_id, f.epoch): (self.event.id, f.status) for f in good}
        for f in good:
            before = self.expected[f.occurrence_id]
            self.end(f.occurrence_id, f.status, attempts=before.attempts + f.requests)

    def retry(self, retried: Sequence[Retried]) -> None:
        good = {r for r in retried if self.is_current(r) and self.expected[r.occurrence_id].leased}
        again = self.run(deliveries.retry(self.conn, retried))

        assert again == {Held(r.occurrence_id, r.epoch) for r in good}
        for r in good:
            attempts = self.expected[r.occurrence_id].attempts + r.requests
            self.give_back(r.occurrence_id, after=r.delay, attempts=attempts)

    @rule(picks=PICKS)
    def release(self, picks: list[int]) -> None:
        held = picked(self.claims, picks)
        good = {h for h in held if self.is_waiting_for_its_attempt(h)}

        assert self.run(deliveries.release(self.conn, held)) == {h.occurrence_id for h in good}
        for h in good:
            self.give_back(h.occurrence_id)

    @rule(picks=PICKS, delay=NOW_OR_LATER)
    def defer(self, picks: list[int], delay: timedelta) -> None:
        held = picked(self.claims, picks)
        self.run(deliveries.defer(self.conn, [(h, delay) for h in held]))
        for h in {h for h in held if self.is_waiting_for_its_attempt(h)}:
            self.give_back(h.occurrence_id, after=delay)

    @rule(picks=PICKS)
    def cancel(self, picks: list[int]) -> None:
        for id_ in picked(list(self.expected), picks):
            stored = self.expected[id_]
            cancelled = self.run(cancellations.cancel(self.conn, id_, reason="of_test"))

            assert (cancelled is not None) == (stored.status is None and not stored.begun)
            if cancelled:
                self.end(id_, "cancelled", attempts=stored.attempts)

    @rule()
    def cancel_all(self) -> None:
        self.run(planned_deliveries.cancel_of_event(self.conn, self.event.id, reason="of_test"))
        for id_, stored in self.expected.items():
            if stored.status is None and not stored.begun:
                self.end(id_, "cancelled", attempts=stored.attempts)

    @rule(picks=PICKS)
    def replay(self, picks: list[int]) -> None:
        ids = picked(list(self.expected), picks)
        good = {id_ for id_ in ids if self.expected[id_].status is not None}

        assert self.run(replays.start(self.conn, ids)) == good
        for id_ in good:
            self.expected[id_] = Stored(self.expected[id_].epoch + 1, self.expected[id_].attempts)
            self.claimable.add(id_)

    @rule()
    def what_waits_comes_due(self) -> None:
        self.run(self.conn.execute("UPDATE deliveries SET next_at = now(), due_at = now() WHERE NOT leased"))
        self.claimable |= {id_ for id_, s in self.expected.items() if s.status is None and not s.leased}

    @rule(picks=PICKS)
    def leases_end(self, picks: list[int]) -> None:
        ids = [id_ for id_ in picked(list(self.expected), picks) if self.expected[id_].leased]
        self.run(self.conn.execute("UPDATE deliveries SET next_at = now() WHERE occurrence_id = ANY (%s)", [ids]))
        self.claimable |= set(ids)

    @invariant()
    def all_is_as_it_must_be(self) -> None:
        assert self.run(all_stored(self.conn)) == self.expected

    @invariant()
    def nothing_is_lost_or_turned_back(self) -> None:
        for id_, before in self.before.items():
            assert self.expected[id_].epoch >= before.epoch
            assert self.expected[id_].attempts >= before.attempts
        self.before = dict(self.expected)

    def teardown(self) -> None:
        """Let all leases end and everything be delivered: each occurrence then has exactly one record."""
        self.leases_end(list(range(len(self.expected))))
        self.what_waits_comes_due()
        while self.claimable:
            self.claim(4, deliveries.NONE)
        alive = [Held(id_, stored.epoch) for id_, stored in self.expected.items() if stored.status is None]
        self.finish([Finished(h.occurrence_id, h.epoch, "delivered", None, 1) for h in alive])
        self.all_is_as_it_must_be()
        assert all(stored.status is not None for stored in self.expected.values())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def is_current(self, claim: Held | Finished | Retried) -> bool:
        stored = self.expected[claim.occurrence_id]
        return stored.status is None and stored.epoch == claim.epoch

    def is_waiting_for_its_attempt(self, claim: Held) -> bool:
        stored = self.expected[claim.occurrence_id]
        return self.is_current(claim) and stored.leased and not stored.begun

    def change(self, id_: OccurrenceId, **fields: Any) -> None:
        self.expected[id_] = msgspec.structs.replace(self.expected[id_], **fields)

    def end(self, id_: OccurrenceId, status: FinalStatus, *, attempts: int) -> None:
        self.change(id_, status=status, attempts=attempts, leased=False, begun=False)
        self.claimable.discard(id_)

    def give_back(self, id_: OccurrenceId, *, after: timedelta = timedelta(0), attempts: int | None = None) -> None:
        counted = {} if attempts is None else {"attempts": attempts}
        self.change(id_, leased=False, begun=False, **counted)
        self.claimable.discard(id_)
        if not after:
            self.claimable.add(id_)


def picked(among: Sequence[T], picks: list[int]) -> list[T]:
    return [among[-1 - pick % len(among)] for pick in picks] if among else []


@pytest.fixture
def loop() -> Generator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_in_any_order_nothing_is_lost_doubled_or_turned_back(
    database_url: str, loop: asyncio.AbstractEventLoop
) -> None:
    async def opened(stack: AsyncExitStack) -> tuple[Connection, Event]:
        pool = await stack.enter_async_context(open_pool(database_url, name="test", size=1))
        conn = await stack.enter_async_context(pool.connection())
        return conn, await an_event(conn)

    stack = AsyncExitStack()
    try:
        conn, event = loop.run_until_complete(opened(stack))

        class WithStore(Processes):
            started = 0

            def __init__(self) -> None:
                super().__init__(loop, conn, event)
                WithStore.started += 1

        run_state_machine_as_test(WithStore, settings=SETTINGS)  # its invariants assert after every step
        assert WithStore.started >= SETTINGS.max_examples
    finally:
        loop.run_until_complete(stack.aclose())
