"""A scheduler that comes back after hours settles what came due, and does not let the present wait for the past."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest_asyncio

from services.scheduler.catching_up import Pace
from shared.domain.content import Misfire, MisfirePolicy
from shared.store.pool import Connection, open_pool
from tests.e2e.processes import Stack
from tests.factories import MINUTE, SECOND, a_waiting, an_event, content_of, timing_of, utc_now
from tests.integration.waiting import until
from tests.receiver import Receiver, Request

EACH = 20 * MINUTE
"""From one occurrence of a recurring event to the next: so long, nothing comes due while the test runs."""
DUE = 181
OUTAGE = (DUE - 1) * EACH + MINUTE
LATE: dict[MisfirePolicy, int] = {"latest": 600, "skip": 300, "all": 100}
PRESENT = 200
EVERY = timedelta(milliseconds=50)
PACED = SECOND / Pace.EACH
"""Late deliveries a second, of all events together."""

Json = dict[str, Any]
Arrival = tuple[Request, Json]


@pytest_asyncio.fixture
async def conn(stack: Stack) -> AsyncGenerator[Connection]:
    async with open_pool(stack.database_url, name="test", size=1) as pool, pool.connection() as conn:
        yield conn


async def recurring(conn: Connection, start: datetime, policy: MisfirePolicy, receiver: Receiver) -> None:
    """Store an event whose next delivery has waited since its start."""
    content = content_of(timing_of(start, schedule="FREQ=MINUTELY;INTERVAL=20"), url=receiver.url("/" + policy))
    event = await an_event(conn, msgspec.structs.replace(content, misfire=Misfire(policy=policy)))
    await a_waiting(conn, event, start, chained=True)


async def once(conn: Connection, at: datetime, receiver: Receiver) -> None:
    event = await an_event(conn, content_of(timing_of(at), url=receiver.url("/present")))
    await a_waiting(conn, event, at)


async def test_a_thousand_recurring_events_are_caught_up_on_while_what_is_due_is_delivered(
    stack: Stack, receiver: Receiver, conn: Connection
) -> None:
    start = utc_now().replace(microsecond=0) - OUTAGE
    async with conn.transaction():
        for policy, number in LATE.items():
            for _ in range(number):
                await recurring(conn, start, policy, receiver)
    await stack.start("dispatcher")
    first = utc_now() + timedelta(seconds=1)
    async with conn.transaction():
        for number in range(PRESENT):
            await once(conn, first + EVERY * number, receiver)

    await stack.start("scheduler")
    arrived = await all_that_is_awaited(receiver)

    assert len(arrived["/present"]) == PRESENT
    assert all(request.at >= at_of(body) for request, body in arrived["/present"])
    assert_each_event_once_with_all_before_it_counted(arrived["/latest"])
    assert_each_occurrence_once(arrived["/all"], (start + (DUE - 100) * EACH).timestamp())
    assert len(arrived["/all"]) < 100 * LATE["all"], "the present has waited for the past"
    await assert_in_order_and_paced(conn)
    assert arrived.keys() == {"/present", "/latest", "/all"}

    async def all_are_settled() -> bool:
        return await records(conn) == {
            "latest": (LATE["latest"], LATE["latest"] * (DUE - 1)),
            "skip": (LATE["skip"], LATE["skip"] * DUE),
            "all": (LATE["all"], LATE["all"] * (DUE - 100)),
        }

    await until(all_are_settled)


async def all_that_is_awaited(receiver: Receiver) -> dict[str, list[Arrival]]:
    """Return what has arrived when the beginning of the catching up is over, and the present too."""
    least = {"/present": PRESENT, "/latest": LATE["latest"], "/all": 5 * LATE["all"]}

    async def there() -> bool:
        counts = Counter(request.path for request in receiver.requests)
        arrived = by_path(receiver.requests) if counts.total() >= sum(least.values()) else {}
        return all(len(arrived.get(path, [])) >= number for path, number in least.items())

    await until(there)
    return by_path(receiver.requests)


def by_path(requests: list[Request]) -> dict[str, list[Arrival]]:
    """Return what arrived so far."""
    found: dict[str, list[Arrival]] = defaultdict(list)
    for request in requests:
        found[request.path].append((request, json.loads(request.body)))
    return found


def at_of(body: Json) -> float:
    return datetime.fromisoformat(body["scheduled_at"]).timestamp()


def assert_each_event_once_with_all_before_it_counted(arrivals: list[Arrival]) -> None:
    assert len({body["event_id"] for _, body in arrivals}) == len(arrivals) == LATE["latest"]
    assert {body["delivery"]["missed_count"] for _, body in arrivals} == {DUE - 1}


def assert_each_occurrence_once(arrivals: list[Arrival], first: float) -> None:
    """Of those that are still delivered, the oldest of all is `first`."""
    times = {(body["event_id"], at_of(body)) for _, body in arrivals}
    assert len(times) == len(arrivals)
    assert {at for _, at in times} <= {first + EACH.total_seconds() * number for number in range(100)}


async def assert_in_order_and_paced(conn: Connection) -> None:
    """Look at those that still wait: of each event a later one is sent later, and of all so many in a second."""
    cursor = await conn.execute(
        "SELECT event_id, due_at FROM deliveries WHERE catch_up ORDER BY event_id, scheduled_at"
    )
    waiting = [(event_id, due_at) for event_id, due_at in await cursor.fetchall()]
    assert len(waiting) > PACED
    assert waiting == sorted(waiting)
    assert max(Counter(int(due_at.timestamp()) for _, due_at in waiting).values()) < 2 * PACED


async def records(conn: Connection) -> dict[str, tuple[int, int]]:
    """Return how many records of missed occurrences there are for each policy, and for how many they stand."""
    cursor = await conn.execute("""
        SELECT v.content -> 'misfire' ->> 'policy', count(*), sum(o.missed_count)
          FROM occurrences AS o
          JOIN event_versions AS v ON v.event_id = o.event_id
         WHERE o.status = 'missed' AND o.status_reason = 'misfire'
         GROUP BY 1
    """)
    return {policy: (number, total) for policy, number, total in await cursor.fetchall()}
