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
from tests.factories import HOUR, MINUTE, SECOND, a_waiting, an_event, content_of, timing_of, utc_now
from tests.integration.waiting import until
from tests.receiver import Receiver, Request

OUTAGE = 3 * HOUR
LATE: dict[MisfirePolicy, int] = {"latest": 600, "skip": 300, "all": 100}
DUE = 181
"""Minutely, the outage's first and last minute included."""
PRESENT = 200
EVERY = timedelta(milliseconds=50)
PACED = SECOND / Pace.EACH
"""Late deliveries a second, of all events together."""
MEDIAN_LATE = 0.5
MOST_LATE = 3.0

Json = dict[str, Any]
Arrival = tuple[Request, Json]


@pytest_asyncio.fixture
async def conn(stack: Stack) -> AsyncGenerator[Connection]:
    async with open_pool(stack.database_url, name="test", size=1) as pool, pool.connection() as conn:
        yield conn


async def minutely(conn: Connection, start: datetime, policy: MisfirePolicy, receiver: Receiver) -> None:
    """Store an event whose next delivery has waited since its start."""
    content = content_of(timing_of(start, schedule="FREQ=MINUTELY"), url=receiver.url("/" + policy))
    event = await an_event(conn, msgspec.structs.replace(content, misfire=Misfire(policy=policy)))
    await a_waiting(conn, event, start, chained=True)


async def once(conn: Connection, at: datetime, receiver: Receiver) -> None:
    event = await an_event(conn, content_of(timing_of(at), url=receiver.url("/present")))
    await a_waiting(conn, event, at)


async def test_a_thousand_minutely_events_are_caught_up_on_while_what_is_due_is_delivered(
    stack: Stack, receiver: Receiver, conn: Connection
) -> None:
    start = utc_now().replace(microsecond=0) - OUTAGE
    async with conn.transaction():
        for policy, number in LATE.items():
            for _ in range(number):
                await minutely(conn, start, policy, receiver)
    await stack.start("dispatcher")
    first = utc_now() + timedelta(seconds=1)
    async with conn.transaction():
        for number in range(PRESENT):
            await once(conn, first + EVERY * number, receiver)

    await stack.start("scheduler")
    arrived = await all_that_is_awaited(receiver)

    lateness = sorted(request.at - at_of(body) for request, body in arrived["/present"])
    assert len(lateness) == PRESENT
    assert lateness[PRESENT // 2] < MEDIAN_LATE
    assert lateness[-1] < MOST_LATE
    assert_each_event_once_with_all_before_it_counted(arrived["/latest"])
    assert_in_order_and_paced(arrived["/all"], (start + (DUE - 100) * MINUTE).timestamp())
    assert arrived.keys() == {"/present", "/latest", "/all"}
    assert await records(conn) == {
        "latest": (LATE["latest"], LATE["latest"] * (DUE - 1)),
        "skip": (LATE["skip"], LATE["skip"] * DUE),
        "all": (LATE["all"], LATE["all"] * (DUE - 100)),
    }


async def all_that_is_awaited(receiver: Receiver) -> dict[str, list[Arrival]]:
    """Return what has arrived when the beginning of the catching up is over, and the present too."""
    least = {"/present": PRESENT, "/latest": LATE["latest"], "/all": 5 * LATE["all"]}

    async def there() -> bool:
        counts = Counter(request.path for request in receiver.requests)
        arrived = by_path(receiver.requests) if counts.total() >= sum(least.values()) else {}
        return all(len(arrived.get(path, [])) >= number for path, number in least.items())

    await until(there, within=60)
    return by_path(receiver.requests)


def by_path(requests: list[Request]) -> dict[str, list[Arrival]]:
    """Return what arrived so far, without what has come due since: that is not late."""
    found: dict[str, list[Arrival]] = defaultdict(list)
    for request in requests:
        body = json.loads(request.body)
        if request.path == "/present" or body["delivery"]["catch_up"]:
            found[request.path].append((request, body))
    return found


def at_of(body: Json) -> float:
    return datetime.fromisoformat(body["scheduled_at"]).timestamp()


def assert_each_event_once_with_all_before_it_counted(arrivals: list[Arrival]) -> None:
    assert len({body["event_id"] for _, body in arrivals}) == len(arrivals) == LATE["latest"]
    assert {body["delivery"]["missed_count"] for _, body in arrivals} == {DUE - 1}


def assert_in_order_and_paced(arrivals: list[Arrival], first: float) -> None:
    """Events begin one after the other with the oldest that they still deliver, and then go minute by minute."""
    of_event: dict[str, list[float]] = defaultdict(list)
    for _, body in arrivals:
        of_event[body["event_id"]].append(at_of(body))
    assert len(of_event) > 1
    for times in of_event.values():
        assert times == [first + 60 * number for number in range(len(times))]
    assert max(Counter(int(request.at) for request, _ in arrivals).values()) < 2 * PACED


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
