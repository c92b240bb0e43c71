"""Pages of a list that changes while it is read show what stays exactly once, the newest first."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from shared.domain.deliveries import Finished
from shared.store import deliveries, replays
from shared.store.pool import Pool
from tests.benchmarks import loading
from tests.factories import HOUR, utc_now
from tests.integration.api.client import Api, Json, event_body

COUNT = 10_000
URL = "https://receiver.example/hook"


async def read_while(api: Api, path: str, change: Callable[[], Awaitable[None]]) -> list[Json]:
    """Follow a list to its end, and change it once beside every page."""
    shown: list[Json] = []
    cursor: dict[str, str] = {}
    while True:
        page, _ = await asyncio.gather(api.read(path, limit=200, **cursor), change())
        shown += page["data"]
        if page["next_cursor"] is None:
            return shown
        cursor = {"cursor": page["next_cursor"]}


async def test_events_that_stay_are_shown_once_while_others_come_and_go(
    api: Api, pool: Pool, database_url: str
) -> None:
    await asyncio.to_thread(loading.events_only, database_url, [URL], count=COUNT)
    async with pool.connection() as conn:
        cursor = await conn.execute("SELECT id::text FROM events")
        there = {row[0] for row in await cursor.fetchall()}
    doomed = random.Random(1).sample(sorted(there), 250)
    created: set[str] = set()
    deleted: set[str] = set()

    async def change() -> None:
        gone = [doomed.pop() for _ in range(min(len(doomed), 5))]
        batch = {"events": [event_body(), event_body()]}
        answers = await asyncio.gather(
            api.http.post("/events/batch", json=batch), *(api.http.delete(f"/events/{id_}") for id_ in gone)
        )
        assert [answer.status_code for answer in answers] == [201] + [204] * len(gone)
        created.update(event["id"] for event in answers[0].json()["data"])
        deleted.update(gone)

    shown = await read_while(api, "/events", change)

    ids = [event["id"] for event in shown]
    assert len(created) >= 50 < len(deleted)
    assert len(set(ids)) == len(ids), "an event is shown twice"
    assert there - deleted <= set(ids) <= there | created
    order = [(event["created_at"], event["id"]) for event in shown]
    assert order == sorted(order, reverse=True)


@pytest.mark.parametrize("params", ["", "&tags=benchmark"], ids=["all", "of_tags"])
async def test_occurrences_are_shown_once_while_they_finish(
    api: Api, pool: Pool, database_url: str, params: str
) -> None:
    gap = timedelta(milliseconds=10)
    await asyncio.to_thread(loading.events_due, database_url, [URL], count=COUNT, due_at=utc_now() - HOUR, gap=gap)
    async with pool.connection() as conn:
        claims = [claim for _ in range(COUNT // 1000) for claim in await deliveries.claim_due(conn, limit=1000)]
    there = {str(claim.occurrence_id) for claim in claims}
    random.Random(1).shuffle(claims)
    finished: list[str] = []

    async def change() -> None:
        ends = [claims.pop() for _ in range(min(len(claims), 150))]
        async with pool.connection() as conn:
            await deliveries.finish(conn, [Finished(c.occurrence_id, c.epoch, "delivered", None, 1) for c in ends])
            await replays.start(conn, [c.occurrence_id for c in ends[:20]])
        finished.extend(str(claim.occurrence_id) for claim in ends)

    shown = await read_while(api, f"/occurrences?{params}", change)

    assert len(there) == COUNT
    assert COUNT // 2 < len(finished) < COUNT
    assert [occurrence["id"] for occurrence in shown] == sorted(there, reverse=True)
    assert len({occurrence["status"] for occurrence in shown}) > 1
