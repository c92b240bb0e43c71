"""PostgreSQL comes back from a backup, and Redis has gone on meanwhile: nothing is lost."""

from __future__ import annotations

from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

from redis.asyncio import Redis

from shared.stream.deliveries import STREAM
from tests.e2e.processes import Process, Stack
from tests.receiver import Receiver
from tests.servers import Databases

EVENTS = 5
PATIENCE = 40.0


async def end(*processes: Process, by: Signals) -> None:
    for process in processes:
        process.signal(by)
    for process in processes:
        await process.ended()


async def test_what_a_restored_database_has_not_seen_is_delivered_again_whatever_redis_remembers(
    databases: Databases, redis_url: str, redis: Redis, receiver: Receiver, tmp_path: Path
) -> None:
    database = databases.create()
    (tmp_path / "before").mkdir()
    async with Stack(database, redis_url, tmp_path / "before") as before:
        [api] = await before.start("api")
        events = [await before.create(in_="PT1S", webhook_url=receiver.url("/waiting")) for _ in range(EVENTS)]
        await end(api, by=SIGTERM)
        backup = databases.copy(database)
        receiver.answer(200, delay=PATIENCE)
        died = await before.start("scheduler", "dispatcher")
        await receiver.wait_for(EVENTS, within=PATIENCE)
        await end(*died, by=SIGKILL)
    assert await redis.xlen(STREAM) == EVENTS, "what was claimed after the backup is still on the stream"

    (tmp_path / "after").mkdir()
    receiver.answer(200)
    async with Stack(backup, redis_url, tmp_path / "after") as after:
        await after.start("api", "scheduler", "dispatcher")
        new = await after.create(in_="PT1S", webhook_url=receiver.url("/new"))
        await receiver.wait_for(2 * EVENTS + 1, within=PATIENCE)

        expected = sorted(event["upcoming"][0]["occurrence_id"] for event in (*events, new))
        arrived = sorted(request.headers["webhook-id"] for request in receiver.requests[EVENTS:])
        assert arrived == expected
        for occurrence_id in expected:
            await after.occurrence_as(occurrence_id, "delivered", within=PATIENCE)
