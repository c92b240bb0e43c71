from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any, cast

import pytest
import pytest_asyncio

from services.dispatcher import rescue
from shared.domain.deliveries import Held
from shared.store import deliveries as store
from shared.store.pool import Pool
from shared.stream import deliveries as stream
from shared.stream.client import Redis
from tests.factories import NOON, a_claimed, an_event, claimed_of, held_by
from tests.integration.waiting import until

AT_ONCE = timedelta(milliseconds=1)
"""As short as a block can be; zero would wait for ever."""
MILLISECOND = timedelta(milliseconds=1)
MICROSECOND = timedelta(microseconds=1)
LONG = timedelta(hours=1)


@pytest_asyncio.fixture
async def group(redis: Redis) -> AsyncGenerator[Redis]:
    """A client of a Redis where stream and group are there."""
    await stream.ensure_group(redis)
    yield redis


async def read(redis: Redis, consumer: str = "one", *, count: int = 100) -> list[stream.Message]:
    return await stream.read(redis, consumer, count=count, block=AT_ONCE)


async def consumers_of(redis: Redis) -> set[str]:
    return set(await stream.silent_consumers(redis, silent_for=-LONG))


async def heard_from(redis: Redis, name: str) -> int:
    """Return when a consumer was last heard from, in milliseconds by the clock of Redis."""
    pipeline = cast("Any", redis.pipeline(transaction=True))
    pipeline.time()
    pipeline.xinfo_consumers(stream.STREAM, stream.GROUP)
    (seconds, microseconds), consumers = await pipeline.execute()
    [idle] = [consumer["idle"] for consumer in consumers if consumer["name"] == name.encode()]
    return seconds * 1000 + microseconds // 1000 - idle


async def length_of(redis: Redis) -> int:
    return int(await redis.xlen(stream.STREAM))


class TestPublishAndRead:
    async def test_what_is_published_is_read(self, group: Redis) -> None:
        claims = [claimed_of(NOON + number * MICROSECOND, epoch=2**50 + number) for number in range(3)]

        await stream.publish(group, claims)

        messages = await read(group)
        assert [message.held for message in messages] == [held_by(claim) for claim in claims]
        assert [message.due_at for message in messages] == [claim.due_at for claim in claims]

    async def test_every_message_goes_to_one_consumer(self, group: Redis) -> None:
        await stream.publish(group, [claimed_of(), claimed_of()])

        [first] = await read(group, "one", count=1)
        [second] = await read(group, "other")

        assert first.held != second.held
        assert await read(group, "one") == []

    async def test_nothing_comes_when_nothing_is_there(self, group: Redis) -> None:
        assert await read(group) == []

    async def test_what_is_forgotten_is_gone(self, group: Redis) -> None:
        await stream.publish(group, [claimed_of(), claimed_of()])
        first, second = await read(group)

        await stream.forget(group, [first.id])

        assert await stream.pending_of(group, "one", count=10) == [second]
        assert await length_of(group) == 1

    async def test_forgetting_twice_changes_nothing(self, group: Redis) -> None:
        await stream.publish(group, [claimed_of(), claimed_of()])
        first, second = await read(group)
        await stream.forget(group, [first.id])

        await stream.forget(group, [first.id])

        assert await stream.pending_of(group, "one", count=10) == [second]

    async def test_a_message_carries_no_more_than_the_claim(self, group: Redis) -> None:
        await stream.publish(group, [claimed_of()])

        [(_, fields)] = cast("list[tuple[bytes, dict[bytes, bytes]]]", await group.xrange(stream.STREAM))

        assert fields.keys() == {b"v", b"occurrence_id", b"epoch", b"due_us", b"destination"}

    async def test_nothing_is_refused_by_a_healthy_redis(self, group: Redis) -> None:
        assert await stream.publish(group, [claimed_of(), claimed_of()]) == []
        assert await stream.length(group) == 2

    async def test_a_claim_that_redis_refuses_comes_back(self, group: Redis) -> None:
        await group.xadd(stream.STREAM, {"v": "0"}, id=f"{2**64 - 1}-{2**64 - 1}")  # no id is left for another entry
        claims = [claimed_of(), claimed_of()]

        assert await stream.publish(group, claims) == claims


class TestLostGroup:
    async def test_a_group_that_is_lost_is_made_anew(self, redis: Redis) -> None:
        assert await read(redis) == []

        claim = claimed_of()
        await stream.publish(redis, [claim])

        assert [message.held for message in await read(redis)] == [held_by(claim)]

    async def test_a_message_from_before_the_group_is_not_lost(self, redis: Redis) -> None:
        claim = claimed_of()
        await stream.publish(redis, [claim])
        await read(redis)

        assert [message.held for message in await read(redis)] == [held_by(claim)]

    async def test_reading_goes_on_after_a_flush(self, group: Redis) -> None:
        await stream.publish(group, [claimed_of()])
        await group.flushdb()  # pyright: ignore[reportUnknownMemberType]
        later = claimed_of()
        await stream.publish(group, [later])
        await read(group)

        assert [message.held for message in await read(group)] == [held_by(later)]

    async def test_making_the_group_twice_loses_nothing(self, group: Redis) -> None:
        await stream.publish(group, [claimed_of()])
        [message] = await read(group)

        await stream.ensure_group(group)

        assert await stream.pending_of(group, "one", count=10) == [message]
        assert await read(group) == []


class TestUnknownFormat:
    @pytest.mark.parametrize("fields", [{"v": "2", "x": "y"}, {"x": "y"}, {"v": ""}, {"v": "11"}])
    async def test_a_message_of_an_unknown_format_names_no_claim(self, group: Redis, fields: dict[str, str]) -> None:
        await group.xadd(stream.STREAM, dict(fields.items()))
        claim = claimed_of()
        await stream.publish(group, [claim])

        unknown, known = await read(group)

        assert unknown.held is None
        assert known.held == held_by(claim)

    @pytest.mark.parametrize("wrong", [
        {"occurrence_id": None}, {"epoch": None}, {"due_us": None},
        {"occurrence_id": b"too short"}, {"epoch": b""}, {"epoch": b"x"}, {"due_us": b"soon"}, {"due_us": b"9" * 30},
    ])  # fmt: skip
    async def test_a_message_with_a_field_missing_or_unreadable_is_skipped(
        self, group: Redis, wrong: dict[str, bytes | None]
    ) -> None:
        fields = {"v": b"1", "occurrence_id": b"\0" * 16, "epoch": b"1", "due_us": b"1", **wrong}
        await group.xadd(stream.STREAM, {name: value for name, value in fields.items() if value is not None})
        claim = claimed_of()
        await stream.publish(group, [claim])

        unreadable, known = await read(group)

        assert unreadable.held is None
        assert known.held == held_by(claim)

    async def test_a_newer_format_with_all_our_fields_is_still_not_ours(self, group: Redis) -> None:
        await group.xadd(stream.STREAM, {"v": "2", "occurrence_id": b"\0" * 16, "epoch": 1, "due_us": 1})

        [message] = await read(group)

        assert message.held is None


class TestPending:
    async def test_what_was_read_and_not_forgotten_is_pending(self, group: Redis) -> None:
        await stream.publish(group, [claimed_of() for _ in range(3)])
        mine = await read(group, "one", count=2)
        theirs = await read(group, "other")

        assert await stream.pending_of(group, "one", count=10) == mine
        assert await stream.pending_of(group, "one", count=1) == mine[:1]
        assert await stream.pending_of(group, "other", count=10) == theirs

    async def test_an_entry_that_was_deleted_is_pending_without_a_claim(self, group: Redis) -> None:
        await stream.publish(group, [claimed_of(), claimed_of()])
        deleted, kept = await read(group)
        await group.xdel(stream.STREAM, deleted.id)

        [gone, still_there] = await stream.pending_of(group, "one", count=10)

        assert (gone.id, gone.held) == (deleted.id, None)
        assert still_there == kept

    async def test_a_deleted_entry_can_be_forgotten(self, group: Redis) -> None:
        await stream.publish(group, [claimed_of()])
        [deleted] = await read(group)
        await group.xdel(stream.STREAM, deleted.id)

        await stream.forget(group, [deleted.id])

        assert await stream.pending_of(group, "one", count=10) == []

    async def test_nobody_has_nothing_pending(self, group: Redis) -> None:
        assert await stream.pending_of(group, "nobody", count=10) == []


class TestConsumers:
    async def test_a_consumer_that_was_heard_from_is_not_silent(self, group: Redis) -> None:
        await read(group)

        assert await stream.silent_consumers(group, silent_for=LONG) == []

    async def test_a_consumer_that_was_not_heard_from_is_silent(self, group: Redis) -> None:
        await read(group)

        async def silent() -> bool:
            return await stream.silent_consumers(group, silent_for=MILLISECOND) != []

        await until(silent)
        assert await stream.silent_consumers(group, silent_for=MILLISECOND) == ["one"]

    async def test_showing_life_takes_no_messages_and_ends_the_silence(self, group: Redis) -> None:
        await stream.publish(group, [claimed_of(), claimed_of()])
        [theirs] = await read(group, "other", count=1)
        heard_at = await heard_from(group, "other")

        async def shown_life_later() -> bool:
            await stream.show_life(group, "other")
            return await heard_from(group, "other") > heard_at + 100

        await until(shown_life_later)
        assert await stream.pending_of(group, "other", count=10) == [theirs]

    async def test_a_removed_consumer_is_not_known_any_more(self, group: Redis) -> None:
        await read(group, "one")
        await read(group, "other")

        await stream.remove_consumer(group, "one")

        assert await consumers_of(group) == {"other"}


class TestTakeover:
    async def test_the_claims_of_a_dead_dispatcher_can_be_claimed_at_once(self, pool: Pool, group: Redis) -> None:
        async with pool.connection() as conn:
            claim = await a_claimed(conn, await an_event(conn))
            await stream.publish(group, [claim])
            await read(group, "dead")

            await take_over(pool, group, "dead")

            [again] = await store.claim_due(conn, limit=10)
            assert (again.occurrence_id, again.epoch) == (claim.occurrence_id, claim.epoch + 1)
            assert await length_of(group) == 0
            assert "dead" not in await consumers_of(group)

    async def test_a_claim_whose_request_may_be_on_the_wire_is_left_to_its_lease(
        self, pool: Pool, group: Redis
    ) -> None:
        async with pool.connection() as conn:
            claim = await a_claimed(conn, await an_event(conn))
            await stream.publish(group, [claim])
            await read(group, "dead")
            assert len(await store.begin(conn, [held_by(claim)])) == 1

            await take_over(pool, group, "dead")

            assert await store.claim_due(conn, limit=10) == []

    async def test_a_claim_that_another_process_holds_by_now_is_left_alone(self, pool: Pool, group: Redis) -> None:
        async with pool.connection() as conn:
            event = await an_event(conn)
            old = await a_claimed(conn, event, lease=timedelta(0))
            await stream.publish(group, [old])
            await read(group, "dead")
            [new] = await store.claim_due(conn, limit=10)

            await take_over(pool, group, "dead")

            assert await store.claim_due(conn, limit=10) == []
            assert len(await store.begin(conn, [Held(new.occurrence_id, new.epoch)])) == 1

    async def test_a_dead_dispatcher_with_unreadable_and_deleted_entries_is_removed(
        self, pool: Pool, group: Redis
    ) -> None:
        await group.xadd(stream.STREAM, {"v": "2"})
        await stream.publish(group, [claimed_of()])
        _, deleted = await read(group, "dead")
        await group.xdel(stream.STREAM, deleted.id)

        await take_over(pool, group, "dead")

        assert await consumers_of(group) == set()
        assert await length_of(group) == 0

    async def test_a_pass_leaves_those_alone_that_live(self, pool: Pool, group: Redis) -> None:
        await stream.publish(group, [claimed_of()])
        messages = await read(group, "other")

        await rescue.run_once(pool, group, "one")

        assert await stream.pending_of(group, "other", count=10) == messages
        assert await consumers_of(group) == {"one", "other"}

    async def test_a_pass_without_stream_and_group_is_no_failure(self, pool: Pool, redis: Redis) -> None:
        assert await rescue.run_once(pool, redis, "one") == rescue.LOOK_EVERY


async def take_over(pool: Pool, redis: Redis, dead: str) -> None:
    """Do to one consumer what a pass does to those that have been silent for long enough."""
    await rescue._take_over(pool, redis, dead)  # pyright: ignore[reportPrivateUsage]
