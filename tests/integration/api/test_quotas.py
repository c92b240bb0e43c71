"""One sub cannot fill the service or flood it, and nobody else notices when it tries."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

import httpx
import msgspec
import pytest
from litestar.types import ASGIApp

from services.api import app as application
from services.api import quotas
from services.api.context import Context
from services.api.quotas import Quotas
from shared.store import usage
from shared.store.pool import Connection, Pool
from shared.stream.client import Redis
from tests.integration.api.client import (
    MASTER,
    Api,
    Json,
    assert_problem,
    event_body,
    ids,
    in_seconds,
    settings_of_tests,
)


@pytest.fixture
def active_events() -> int:
    return 3


@pytest.fixture
def creates_per_minute() -> int:
    return 1000


@pytest.fixture
def app(pool: Pool, redis: Redis, active_events: int, creates_per_minute: int) -> ASGIApp:
    config = msgspec.structs.replace(
        settings_of_tests(), quota_active_events=active_events, quota_creates_per_minute=creates_per_minute
    )
    return application.build(Context(config, pool, redis))


@pytest.fixture
def api(app: ASGIApp) -> Api:
    return Api(app, MASTER)


async def batch(api: Api, number: int) -> httpx.Response:
    return await api.http.post("/events/batch", json={"events": [event_body() for _ in range(number)]})


def named(errors: Sequence[Json]) -> list[str]:
    """Return the ids of the events that a refusal tells to delete."""
    assert all(error["message"] for error in errors)
    return [error["hint"].removeprefix("DELETE /events/") for error in errors]


async def test_the_quota_of_active_events_is_a_403_that_says_how_many_there_are(api: Api) -> None:
    alice = await api.limited_to("write", "*", sub="alice")
    made = [await alice.create() for _ in range(3)]

    answer = await alice.http.post("/events", json=event_body())

    assert_problem(answer, 403, "quota_exceeded")
    assert "has 3 active events of at most 3" in answer.json()["detail"]
    await alice.http.delete(f"/events/{made[0]['id']}")
    await alice.create()


async def test_a_batch_counts_with_all_of_its_events(api: Api) -> None:
    alice = await api.limited_to("write", "*", sub="alice")
    await alice.create()

    assert_problem(await batch(alice, 3), 403, "quota_exceeded")
    assert (await batch(alice, 2)).status_code == 201


async def test_every_sub_has_its_own_quota_and_the_master_none(api: Api) -> None:
    alice, bob = await api.limited_to("write", "*", sub="alice"), await api.limited_to("admin", sub="bob")

    assert (await batch(alice, 3)).status_code == 201
    assert (await batch(bob, 3)).status_code == 201
    assert_problem(await batch(bob, 1), 403, "quota_exceeded")
    assert (await batch(api, 4)).status_code == 201


class TestNaming:
    @pytest.fixture
    def active_events(self) -> int:
        return 6

    async def test_the_oldest_of_each_kind_is_named_and_first_the_kind_that_there_is_most_of(self, api: Api) -> None:
        alice = await api.limited_to("write", "*", sub="alice")
        paused = await alice.create(name="Double")
        await alice.http.post(f"/events/{paused['id']}/pause")
        single = await alice.create(name="Single")
        double, _ = [await alice.create(name="Double") for _ in range(2)]
        triple, *_ = [await alice.create(name="Triple") for _ in range(3)]

        errors = assert_problem(await alice.http.post("/events", json=event_body()), 403, "quota_exceeded")

        assert named(errors) == ids([triple, double, single])
        assert [error["message"] for error in errors] == [
            f'The event {triple["id"]}, "Triple", is the oldest of 3 that do the same.',
            f'The event {double["id"]}, "Double", is the oldest of 2 that do the same.',
            f'The event {single["id"]}, "Single", is the only active one of its kind.',
        ]

    async def test_nobody_elses_events_are_named_nor_any_out_of_the_tokens_scope(self, api: Api) -> None:
        alice, red = [await api.limited_to("write", scope, sub="alice") for scope in ("*", "team:red")]
        await (await api.limited_to("write", "*", sub="bob")).create(tags=["team:red"])
        for number in range(5):
            await alice.create(name=str(number), tags=["team:blue"])
        own = await alice.create(tags=["team:red"])

        refused = await red.http.post("/events", json=event_body(tags=["team:red"]))

        assert named(assert_problem(refused, 403, "quota_exceeded")) == [own["id"]]
        assert len(assert_problem(await batch(alice, 1), 403)) == 6


class TestRevivals:
    """What becomes active again counts as what is created."""

    async def revive(self, api: Api, event: Json, way: str) -> httpx.Response:
        path = f"/events/{event['id']}"
        match way:
            case "resume":
                return await api.http.post(f"{path}/resume", json={})
            case "restore":
                return await api.http.post(f"{path}/versions/1/restore", json={})
            case "change":
                return await api.http.patch(path, json={"start_time": in_seconds(7200)})
            case "move" | "put back":
                [override] = (await api.read(f"{path}/overrides"))["data"]
                path += f"/overrides/{override['recurrence_id']}"
                if way == "put back":
                    return await api.http.delete(path)
                return await api.http.put(path, json={"scheduled_at": in_seconds(7200)})
            case _:
                [occurrence] = await api.occurrences_of(event)
                return await api.http.post(f"/occurrences/{occurrence['id']}/replay")

    async def end(self, api: Api, event: Json, way: str) -> None:
        """Let an event be as it has to be to be revived in a way."""
        path = f"/events/{event['id']}"
        [occurrence] = await api.occurrences_of(event)
        match way:
            case "resume":
                await api.http.post(f"{path}/pause")
            case "restore":
                await api.http.delete(path)
            case "move" | "put back":
                await api.http.put(f"{path}/overrides/{occurrence['recurrence_id']}", json={"excluded": True})
            case _:
                await api.http.post(f"/occurrences/{occurrence['id']}/cancel")

    @pytest.mark.parametrize("way", ["resume", "restore", "change", "move", "put back", "replay"])
    async def test_an_event_is_revived_only_where_there_is_room_for_one_more(self, api: Api, way: str) -> None:
        alice = await api.limited_to("write", "*", sub="alice")
        stopped = await alice.create()
        await self.end(alice, stopped, way)
        others = [await alice.create() for _ in range(3)]
        before = await alice.read(f"/events/{stopped['id']}/versions")

        errors = assert_problem(await self.revive(alice, stopped, way), 403, "quota_exceeded")

        assert named(errors) == [others[0]["id"]]
        assert await alice.read(f"/events/{stopped['id']}/versions") == before
        await alice.http.delete(f"/events/{others[0]['id']}")
        assert (await self.revive(alice, stopped, way)).status_code < 300
        assert (await alice.read(f"/events/{stopped['id']}"))["status"] == "active"
        assert_problem(await alice.http.post("/events", json=event_body()), 403, "quota_exceeded")

    async def test_what_is_changed_while_it_is_active_needs_no_room(self, api: Api) -> None:
        alice = await api.limited_to("write", "*", sub="alice")
        event, *_ = [await alice.create() for _ in range(3)]

        assert (await self.revive(alice, event, "change")).status_code == 200
        assert (await self.revive(alice, event, "resume")).status_code == 200
        assert (await self.revive(alice, event, "restore")).status_code == 200

    async def test_the_room_is_that_of_who_created_the_event_and_the_master_needs_none(self, api: Api) -> None:
        alice, bob = [await api.limited_to("write", "*", sub=sub) for sub in ("alice", "bob")]
        stopped = await alice.create()
        await self.end(alice, stopped, "resume")
        await batch(bob, 3)
        assert (await self.revive(bob, stopped, "resume")).status_code == 200
        await self.end(alice, stopped, "resume")
        others = [await alice.create() for _ in range(3)]

        refused = await self.revive(bob, stopped, "resume")

        assert assert_problem(refused, 403, "quota_exceeded") == []
        assert not re.search("3|" + "|".join(ids(others)), refused.json()["detail"])
        assert (await self.revive(api, stopped, "resume")).status_code == 200


class TestPace:
    @pytest.fixture
    def active_events(self) -> int:
        return 1000

    @pytest.fixture
    def creates_per_minute(self) -> int:
        return 3

    async def test_too_many_in_a_minute_are_a_429_that_says_when_to_come_again(
        self, api: Api, conn: Connection
    ) -> None:
        alice = await api.limited_to("write", "*", sub="alice")
        assert (await batch(alice, 3)).status_code == 201

        answer = await alice.http.post("/events", json=event_body())

        assert_problem(answer, 429, "quota_exceeded")
        assert 1 <= int(answer.headers["retry-after"]) <= 61
        await conn.execute("UPDATE events SET created_at = created_at - interval '1 minute'")
        await alice.create()

    async def test_deleting_what_was_just_created_makes_no_room(self, api: Api) -> None:
        alice = await api.limited_to("write", "*", sub="alice")
        for _ in range(3):
            await alice.http.delete(f"/events/{(await alice.create())['id']}")

        assert_problem(await alice.http.post("/events", json=event_body()), 429, "quota_exceeded")


async def test_far_from_the_quota_one_count_is_enough_for_a_share_of_what_is_left(
    api: Api, app: ASGIApp, context: Context, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert app
    caller = context.doorkeeper.caller_of((await api.limited_to("write", "*")).http.headers["authorization"])
    limits = Quotas(active_events=1 + 10 * quotas.PROCESSES, creates_per_minute=1000, chain_events=1)
    now = context.clock.now()
    await limits.require(conn, caller, 1, now=now)

    monkeypatch.setattr(usage, "ACTIVE_EVENTS", "SELECT 1 / 0")
    for _ in range(10):
        await limits.require(conn, caller, 1, now=now)

    with pytest.raises(Exception, match="division by zero"):
        await limits.require(conn, caller, 1, now=now + timedelta(seconds=1))
