"""Two versions side by side, as during an upgrade: this one beside the next."""

from __future__ import annotations

from typing import Any, cast

import psycopg
from psycopg import sql
from redis.asyncio import Redis

from shared.stream.deliveries import FORMAT, STREAM
from tests.e2e.processes import Stack
from tests.integration.waiting import until
from tests.receiver import Receiver

PATIENCE = 40.0
TABLES = (
    "events",
    "event_versions",
    "event_overrides",
    "deliveries",
    "occurrences",
    "attempts",
    "destinations",
    "audit",
)


async def test_this_version_works_on_the_schema_of_the_next(stack: Stack, receiver: Receiver) -> None:
    async with await psycopg.AsyncConnection.connect(stack.database_url, autocommit=True) as conn:
        for table in TABLES:
            addition = sql.SQL("ALTER TABLE {} ADD COLUMN of_the_next_version integer NOT NULL DEFAULT 7")
            await conn.execute(addition.format(sql.Identifier(table)))
        await conn.execute("INSERT INTO schema_migrations (version, name) VALUES (9999, '9999_of_the_next_version')")
    await stack.start("api", "scheduler", "dispatcher")

    event = await stack.create(in_="PT0.5S", webhook_url=receiver.url(), retry={"max_attempts": 1})
    await receiver.wait_for(1, within=PATIENCE)

    occurrence = await stack.occurrence_as(event["upcoming"][0]["occurrence_id"], "delivered", within=PATIENCE)
    assert occurrence["attempt_count"] == 1
    recurring = await stack.create(in_="PT1H", schedule="FREQ=DAILY", webhook_url=receiver.url())
    for way in ("pause", "resume", "trigger"):
        async with stack.request("POST", f"/events/{recurring['id']}/{way}", json={}) as answer:
            assert answer.status in (200, 202), await answer.text()
    await receiver.wait_for(2, within=PATIENCE)


async def test_a_message_of_the_next_version_costs_a_lease_and_loses_nothing(
    stack: Stack, receiver: Receiver, redis: Redis
) -> None:
    await stack.start("api", "scheduler")
    event = await stack.create(in_="PT0.1S", webhook_url=receiver.url())

    async def published() -> bool:
        return await redis.xlen(STREAM) == 1

    await until(published, within=PATIENCE)
    client = cast("Any", redis)
    [(id_, fields)] = await client.xrange(STREAM)
    await client.xdel(STREAM, id_)
    await client.xadd(STREAM, {**fields, b"v": int(FORMAT) + 1, b"of_the_next_version": b"7"})
    await stack.start("dispatcher")

    async def put_away() -> bool:
        return await redis.xlen(STREAM) == 0

    await until(put_away, within=PATIENCE)
    assert receiver.requests == []
    async with await psycopg.AsyncConnection.connect(stack.database_url, autocommit=True) as conn:
        await conn.execute("UPDATE deliveries SET next_at = now() WHERE leased")  # the lease ends
    [request] = await receiver.wait_for(1, within=PATIENCE)

    assert request.headers["webhook-id"] == event["upcoming"][0]["occurrence_id"]
