from __future__ import annotations

import asyncio
from typing import Literal

import msgspec
import pytest

from shared.domain.events import Event, EventStatus
from shared.domain.ids import event_id_at
from shared.errors import NotFound
from shared.store import creations, events
from shared.store.creations import Creation
from shared.store.pool import Connection, Pool, open_pool
from shared.store.sight import Sight
from tests.factories import (
    HOUR,
    NOON,
    WEBHOOK_URL,
    a_claimed,
    a_waiting,
    an_event,
    content_of,
    event_of,
    timing_of,
    utc_now,
)
from tests.integration.waiting import until_blocked

EVERY = Sight(every=True)


async def status_of(conn: Connection, event: Event) -> tuple[EventStatus, str | None]:
    found = await events.get(conn, event.id, sight=EVERY)
    return found.status, found.status_reason


async def changed(conn: Connection, event: Event, *, status: EventStatus) -> Event:
    change: Literal["paused", "deleted", "updated"] = (
        "paused" if status == "paused" else "deleted" if status == "deleted" else "updated"
    )
    new = msgspec.structs.replace(event, version=event.version + 1, status=status)
    await events.change(conn, new, change=change, fields=[], by="master")
    return new


class TestGet:
    async def test_an_event_comes_back_as_it_was_stored(self, conn: Connection) -> None:
        content = msgspec.structs.replace(content_of(), metadata={"pots": [1, {"ä": None}]}, tags=("user:alice",))
        event = await an_event(conn, content)

        assert await events.get(conn, event.id, sight=EVERY) == event

    async def test_a_secret_is_only_said_to_be_there(self, conn: Connection) -> None:
        event = await an_event(conn, hmac_secret="a secret of its own")

        assert (await events.get(conn, event.id, sight=EVERY)).has_hmac_secret

    async def test_an_unknown_event_is_not_found(self, conn: Connection) -> None:
        with pytest.raises(NotFound):
            await events.get(conn, event_id_at(NOON), sight=EVERY)

    @pytest.mark.parametrize(
        ("sight", "seen"),
        [
            (Sight(tags=["user:alice"]), True),
            (Sight(tags=["user:bob", "user:alice"]), True),
            (Sight(prefixes=["user:"]), True),
            (Sight(tags=["user:"]), False),
            (Sight(tags=["user:bob"], prefixes=["system:"]), False),
            (Sight(prefixes=["user:%"]), False),
            (Sight(), False),
        ],
    )
    async def test_an_event_is_seen_by_its_tags(self, conn: Connection, sight: Sight, seen: bool) -> None:
        event = await an_event(conn, msgspec.structs.replace(content_of(), tags=("user:alice",)))

        found = await events.newest(conn, events.Filters(), sight=sight, before=None, limit=10)

        assert ([each.id for each in found] == [event.id]) == seen


class TestGetToChange:
    async def test_who_waited_for_a_change_sees_it(self, pool: Pool) -> None:
        async with pool.connection() as one, pool.connection() as other, asyncio.TaskGroup() as group:
            event = await an_event(one)
            async with one.transaction():
                await events.get_to_change(one, event.id, sight=EVERY)
                waiting = group.create_task(events.get_to_change(other, event.id, sight=EVERY))
                await until_blocked(one, other)
                new = await changed(one, event, status="paused")

            assert await waiting == new

    async def test_changes_at_the_same_time_follow_one_another(self, conn: Connection, database_url: str) -> None:
        event = await an_event(conn)

        async def add_tag(pool: Pool, number: int) -> None:
            async with pool.connection() as own, own.transaction():
                before = await events.get_to_change(own, event.id, sight=EVERY)
                content = msgspec.structs.replace(before.content, tags=(*before.content.tags, f"tag:{number}"))
                after = msgspec.structs.replace(before, version=before.version + 1, content=content)
                await events.change(own, after, change="updated", fields=["tags"], by="master")

        async with open_pool(database_url, name="test", size=10) as pool, asyncio.TaskGroup() as group:
            await pool.resize(10, 10)
            await pool.wait()
            for number in range(10):
                group.create_task(add_tag(pool, number))

        found = await events.get(conn, event.id, sight=EVERY)
        assert found.version == 11
        assert sorted(found.content.tags) == [f"tag:{number}" for number in range(10)]


class TestToPlan:
    async def test_the_timing_of_the_current_version_is_read(self, conn: Connection) -> None:
        event = await an_event(conn)
        timing = timing_of(schedule="FREQ=DAILY")
        new = msgspec.structs.replace(event, version=2, content=content_of(timing))
        await events.change(conn, new, change="updated", fields=["schedule"], by="master")

        plans = await events.to_plan(conn, [event.id])

        assert plans == {event.id: events.Plan(event.id, 2, WEBHOOK_URL, timing)}

    @pytest.mark.parametrize("status", ["paused", "deleted"])
    async def test_an_event_that_is_not_active_has_no_plan(
        self, conn: Connection, status: Literal["paused", "deleted"]
    ) -> None:
        event = await an_event(conn)
        await changed(conn, event, status=status)

        assert await events.to_plan(conn, [event.id]) == {event.id: None}

    async def test_an_event_that_is_being_changed_is_left_out_at_once(self, pool: Pool) -> None:
        async with pool.connection() as api, pool.connection() as scheduler:
            event, neighbour = await an_event(api), await an_event(api)
            async with api.transaction():
                await events.get_to_change(api, event.id, sight=EVERY)

                plans = await events.to_plan(scheduler, [event.id, neighbour.id])

            assert plans.keys() == {neighbour.id}

    async def test_an_event_that_is_being_planned_is_not_changed_meanwhile(self, pool: Pool) -> None:
        async with pool.connection() as api, pool.connection() as scheduler, asyncio.TaskGroup() as group:
            event = await an_event(api)
            async with scheduler.transaction():
                await events.to_plan(scheduler, [event.id])
                waiting = group.create_task(events.get_to_change(api, event.id, sight=EVERY))
                await until_blocked(scheduler, api)
            assert (await waiting).id == event.id

    async def test_two_schedulers_may_plan_the_same_event(self, pool: Pool) -> None:
        async with pool.connection() as one, pool.connection() as other:
            event = await an_event(one)
            async with one.transaction():
                await events.to_plan(one, [event.id])

                assert (await events.to_plan(other, [event.id])).keys() == {event.id}


class TestCompleteFinished:
    async def test_an_event_without_deliveries_is_completed(self, conn: Connection) -> None:
        event, beside = await an_event(conn), await an_event(conn)

        await events.complete_finished(conn, [event.id])

        assert await status_of(conn, event) == ("completed", None)
        assert await status_of(conn, beside) == ("active", None)

    async def test_an_event_with_a_future_goes_on(self, conn: Connection) -> None:
        event = await an_event(conn)
        await a_waiting(conn, event, utc_now() + HOUR)

        await events.complete_finished(conn, [event.id])

        assert await status_of(conn, event) == ("active", None)

    async def test_an_event_with_a_delivery_on_its_way_goes_on(self, conn: Connection) -> None:
        event = await an_event(conn)
        await a_claimed(conn, event)

        await events.complete_finished(conn, [event.id])

        assert await status_of(conn, event) == ("active", None)

    @pytest.mark.parametrize("status", ["paused", "deleted"])
    async def test_only_an_active_event_is_completed(
        self, conn: Connection, status: Literal["paused", "deleted"]
    ) -> None:
        event = await an_event(conn)
        await changed(conn, event, status=status)

        await events.complete_finished(conn, [event.id])

        assert await status_of(conn, event) == (status, None)

    async def test_an_event_that_was_changed_meanwhile_is_not_completed(self, pool: Pool) -> None:
        async with pool.connection() as api, pool.connection() as dispatcher, asyncio.TaskGroup() as group:
            event = await an_event(api)
            async with api.transaction():
                await events.get_to_change(api, event.id, sight=EVERY)
                completing = group.create_task(events.complete_finished(dispatcher, [event.id]))
                await until_blocked(api, dispatcher)
                new = await changed(api, event, status="active")
                await a_waiting(api, new, utc_now() + HOUR)
            await completing

            assert await status_of(api, event) == ("active", None)


class TestSweepFinished:
    async def test_an_event_that_nobody_completed_is_completed_later(self, conn: Connection) -> None:
        old = await an_event(conn)
        young = msgspec.structs.replace(event_of(), created_at=utc_now())
        await creations.insert(conn, [Creation(event=young)])
        busy = await an_event(conn)
        await a_waiting(conn, busy, utc_now() + HOUR)

        assert await events.sweep_finished(conn) == 1

        assert await status_of(conn, old) == ("completed", None)
        assert await status_of(conn, young) == ("active", None)
        assert await status_of(conn, busy) == ("active", None)


class TestDisable:
    async def test_a_disabled_event_says_why(self, conn: Connection) -> None:
        event = await an_event(conn)

        await events.disable(conn, [event.id], reason="gone")

        assert await status_of(conn, event) == ("disabled", "gone")

    async def test_a_deleted_event_stays_deleted(self, conn: Connection) -> None:
        event = await an_event(conn)
        await changed(conn, event, status="deleted")

        await events.disable(conn, [event.id], reason="gone")

        assert await status_of(conn, event) == ("deleted", None)
