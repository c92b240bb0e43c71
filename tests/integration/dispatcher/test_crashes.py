"""What breaks around a dispatcher costs some delay, and neither a delivery nor a second request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from prometheus_client import REGISTRY

from deploy.local.postgres import PORT, Postgres
from deploy.local.valkey import Valkey
from services.dispatcher import rescue
from shared.store import deliveries
from shared.store.pool import Connection, Pool, open_pool
from shared.stream import deliveries as stream
from shared.stream.client import Redis, open_client
from tests import servers
from tests.factories import a_claimed, an_event, held_by, states_of, utc_now
from tests.integration.dispatcher.world import Holding, World, to
from tests.integration.relay import Relay
from tests.integration.store.stations import ended
from tests.integration.waiting import until
from tests.receiver import Receiver


@pytest.fixture(scope="module")
def own_postgres() -> Generator[Postgres]:
    with servers.scratch_folder() as folder, Postgres(folder / "postgres", durable=False) as server:
        servers.migrate(server.url())
        yield server


@asynccontextmanager
async def on_own_postgres(server: Postgres, redis: Redis, redis_url: str) -> AsyncGenerator[World]:
    async with open_pool(server.url(), name="test", size=4) as pool, connected(server) as conn:
        yield World(pool, redis, redis_url, conn)


@asynccontextmanager
async def connected(server: Postgres) -> AsyncGenerator[Connection]:
    async with open_pool(server.url(), name="test-looks", size=1) as pool, pool.connection() as conn:
        yield conn


def lost(loop: str) -> float:
    """Return how often a loop of this process has found a connection lost."""
    return REGISTRY.get_sample_value("qhronos_connections_lost_total", {"loop": loop}) or 0.0


class TestPostgres:
    async def test_a_result_outlasts_a_restart_at_its_flush(
        self, own_postgres: Postgres, redis: Redis, redis_url: str, receiver: Receiver
    ) -> None:
        answer = Holding(receiver)
        async with on_own_postgres(own_postgres, redis, redis_url) as world:
            event = await an_event(world.conn, to(receiver))
            claim = await a_claimed(world.conn, event)
            before = lost("write")

            async def flush_has_failed() -> bool:
                return lost("write") > before

            async with world.running():
                await world.publish(claim)
                await receiver.wait_for(1)
                await asyncio.to_thread(own_postgres.stop)
                answer.let_go()
                await until(flush_has_failed)
                await asyncio.to_thread(own_postgres.start)
                async with connected(own_postgres) as world.conn:
                    await until(lambda: is_delivered(world, claim.occurrence_id))
                    [attempt] = await world.attempts_of(claim)

        assert not attempt.stale
        assert len(receiver.requests) == 1

    async def test_a_commit_whose_outcome_is_unknown_is_written_again_and_counts_once(
        self, own_postgres: Postgres, redis: Redis, redis_url: str, receiver: Receiver, tmp_path: Path
    ) -> None:
        answer = Holding(receiver)
        relay = Relay(own_postgres.sockets / own_postgres.socket_name)
        url = own_postgres.url().replace(quote(str(own_postgres.sockets), safe=""), quote(str(tmp_path), safe=""))
        async with (
            relay.listening(tmp_path / f".s.PGSQL.{PORT}"),
            open_pool(url, name="test", size=4) as through_relay,
            connected(own_postgres) as conn,
        ):
            world = World(through_relay, redis, redis_url, conn)
            event = await an_event(conn, to(receiver))
            claim = await a_claimed(conn, event)
            async with world.running():
                await world.publish(claim)
                await receiver.wait_for(1)
                relay.break_at(b"COMMIT", forwarded=True)
                answer.let_go()
                await world.until_forgotten()

            assert relay.broken.is_set()
            assert await states_of(conn, event.id) == {claim.occurrence_id: "delivered"}
            assert [attempt.stale for attempt in await world.attempts_of(claim)] == [False]
            assert len(receiver.requests) == 1


async def is_delivered(world: World, occurrence_id: object) -> bool:
    cursor = await world.conn.execute("SELECT status FROM all_occurrences WHERE id = %s", [occurrence_id])
    return await cursor.fetchall() == [("delivered",)]


class TestRedis:
    async def test_what_redis_forgot_unread_is_delivered_when_its_lease_ends(
        self, world: World, receiver: Receiver
    ) -> None:
        event = await an_event(world.conn, to(receiver))
        claim = await a_claimed(world.conn, event)
        await world.publish(claim)
        await world.redis.flushdb()  # pyright: ignore[reportUnknownMemberType]
        await world.conn.execute("UPDATE deliveries SET next_at = now()")

        async with world.running():
            await world.publish(*await deliveries.claim_due(world.conn, limit=1))
            await world.until_all_are(event, "delivered")

        assert len(receiver.requests) == 1

    async def test_old_entries_that_a_failover_brings_back_are_dropped_without_a_request(
        self, world: World, receiver: Receiver
    ) -> None:
        event = await an_event(world.conn, to(receiver))
        over, taken_over = await a_claimed(world.conn, event), await a_claimed(world.conn, event, utc_now())
        await stream.ensure_group(world.redis)
        await world.publish(over, taken_over)
        old = await world.redis.dump(stream.STREAM)
        assert old is not None
        await world.redis.flushdb()  # pyright: ignore[reportUnknownMemberType]
        await deliveries.finish(world.conn, [ended(over)])
        await deliveries.release(world.conn, [taken_over])
        [newer] = await deliveries.claim_due(world.conn, limit=1)

        async with world.running():
            await world.redis.restore(stream.STREAM, 0, old, replace=True)
            await world.until_forgotten()
            assert receiver.requests == []
            await world.publish(newer)
            await world.until_all_are(event, "delivered", "delivered")

        assert [request.headers["webhook-id"] for request in receiver.requests] == [str(newer.occurrence_id)]

    async def test_work_goes_on_after_redis_was_restarted_empty(
        self, pool: Pool, conn: Connection, receiver: Receiver
    ) -> None:
        with servers.scratch_folder() as folder, Valkey(folder / "valkey", durable=False) as server:
            async with open_client(server.url()) as redis:
                world = World(pool, redis, server.url(), conn)
                answer = Holding(receiver)
                event = await an_event(conn, to(receiver))
                under_way = await a_claimed(conn, event)
                async with world.running() as work:
                    await world.publish(under_way)
                    await receiver.wait_for(1)
                    await world.until_read(work, 1)
                    await asyncio.to_thread(server.stop)
                    await asyncio.to_thread(server.start)
                    answer.let_go()
                    await world.until_all_are(event, "delivered")
                    await world.publish(await a_claimed(conn, event))
                    await world.until_all_are(event, "delivered", "delivered")

        assert len(receiver.requests) == 2


class TestDeadDispatcher:
    async def test_after_its_result_and_before_it_forgot_the_message_nothing_is_left_to_do(
        self, world: World, receiver: Receiver
    ) -> None:
        event = await an_event(world.conn, to(receiver))
        claim = await a_claimed(world.conn, event)
        await stream.ensure_group(world.redis)
        await world.publish(claim)
        await stream.read(world.redis, "dead", count=1, block=timedelta(milliseconds=1))
        await deliveries.begin(world.conn, [held_by(claim)])
        await deliveries.finish(world.conn, [ended(claim)])

        await rescue._take_over(world.pool, world.redis, "dead")  # pyright: ignore[reportPrivateUsage]

        assert await world.redis.xlen(stream.STREAM) == 0
        assert await states_of(world.conn, event.id) == {claim.occurrence_id: "delivered"}
        assert receiver.requests == []
