"""A scheduler that dies, or loses Redis, between its claim and the message about it costs one lease, and plans once."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from deploy.local.valkey import Valkey
from services.scheduler import claimer
from services.scheduler.catching_up import Pace
from shared.domain.deliveries import Held
from shared.domain.events import Event
from shared.store import deliveries
from shared.store.pool import Connection, Pool
from shared.stream import deliveries as stream
from shared.stream.client import CONNECTION_LOST, Redis, open_client
from tests import servers
from tests.factories import SECOND, a_waiting, an_event, content_of, states_of, timing_of, utc_now
from tests.integration.relay import Relay


@asynccontextmanager
async def breaking(folder: Path, *, forwarded: bool) -> AsyncGenerator[tuple[Redis, Redis]]:
    """Yield a client whose connection breaks for good as it publishes, and one of the same server that stays."""
    with servers.scratch_folder() as home, Valkey(home / "valkey", durable=False) as server:
        relay = Relay(server.socket)
        relay.break_at(b"XADD", forwarded=forwarded, for_good=True)
        socket = folder / "relay.sock"
        async with (
            relay.listening(socket),
            open_client(f"unix://{quote(str(socket))}?db=0") as broken,
            open_client(server.url()) as whole,
        ):
            yield broken, whole
        assert relay.broken.is_set()


async def a_daily(conn: Connection) -> Event:
    """Store a recurring event whose first delivery is due."""
    start = utc_now().replace(microsecond=0) - SECOND
    event = await an_event(conn, content_of(timing_of(start, schedule="FREQ=DAILY")))
    await a_waiting(conn, event, start, chained=True)
    return event


async def published(redis: Redis) -> list[Held]:
    await stream.ensure_group(redis)
    messages = await stream.read(redis, "reader", count=100, block=timedelta(milliseconds=1))
    return [message.held for message in messages if message.held]


async def test_what_was_claimed_and_never_published_is_claimed_again_when_its_lease_ends(
    pool: Pool, conn: Connection, tmp_path: Path
) -> None:
    event = await a_daily(conn)
    async with breaking(tmp_path, forwarded=False) as (broken, whole):
        with pytest.raises(CONNECTION_LOST):
            await claimer.run_once(pool, broken, Pace())
        assert await published(whole) == []
        await claimer.run_once(pool, whole, Pace())
        assert await published(whole) == []  # its lease still runs
        await conn.execute("UPDATE deliveries SET next_at = now() WHERE leased")

        await claimer.run_once(pool, whole, Pace())

        [held] = await published(whole)
    assert sorted((await states_of(conn, event.id)).values()) == ["queued", "scheduled"]
    assert len(await deliveries.begin(conn, [held])) == 1


async def test_a_publish_of_unknown_outcome_gives_nothing_back_and_its_message_is_good(
    pool: Pool, conn: Connection, tmp_path: Path
) -> None:
    event = await a_daily(conn)
    async with breaking(tmp_path, forwarded=True) as (broken, whole):
        with pytest.raises(CONNECTION_LOST):
            await claimer.run_once(pool, broken, Pace())

        assert sorted((await states_of(conn, event.id)).values()) == ["queued", "scheduled"]
        [held] = await published(whole)
        assert len(await deliveries.begin(conn, [held])) == 1
        await claimer.run_once(pool, whole, Pace())
        assert await published(whole) == []
