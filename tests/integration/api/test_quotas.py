"""One sub cannot fill the service or flood it, and nobody else notices when it tries."""

from __future__ import annotations

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
from tests.integration.api.client import MASTER, Api, assert_problem, event_body, settings_of_tests


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
    limits = Quotas(active_events=1 + 10 * quotas.PROCESSES, creates_per_minute=1000)
    now = context.clock.now()
    await limits.require(conn, caller, 1, now=now)

    monkeypatch.setattr(usage, "ACTIVE_EVENTS", "SELECT 1 / 0")
    for _ in range(10):
        await limits.require(conn, caller, 1, now=now)

    with pytest.raises(Exception, match="division by zero"):
        await limits.require(conn, caller, 1, now=now + timedelta(seconds=1))
