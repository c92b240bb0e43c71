"""A creator's own ids: no two of its live events have the same one, however they come by it."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from services.api.context import Context
from tests.integration.api.client import Api, Json, assert_problem, event_body, pointers


def assert_taken(answer: httpx.Response, holder: Json, pointer: str = "/external_id") -> None:
    """Make sure that an answer says whose the external_id is."""
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "already_exists")
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert problem["existing_id"] == holder["id"]
    assert pointers(problem["errors"]) == [pointer]


async def test_an_external_id_is_answered_and_null_without_one(api: Api) -> None:
    event, other = await api.create(external_id="invoice-1"), await api.create()

    assert await api.read(f"/events/{event['id']}") == event
    assert (event["external_id"], other["external_id"]) == ("invoice-1", None)


async def test_creating_it_again_is_a_409_that_names_the_event(api: Api) -> None:
    event = await api.create(external_id="x", name="First")

    assert_taken(await api.http.post("/events", json=event_body(external_id="x", name="Second")), event)

    assert [each["name"] for each in (await api.read("/events"))["data"]] == ["First"]
    assert len((await api.read("/occurrences"))["data"]) == 1


async def test_it_is_taken_even_when_the_event_is_out_of_sight(api: Api) -> None:
    event = await (await api.limited_to("write", "a", sub="alice")).create(external_id="x", tags=["a"])
    same = await api.limited_to("write", "b", sub="alice")

    assert_taken(await same.http.post("/events", json=event_body(external_id="x", tags=["b"])), event)


async def test_another_creator_may_use_the_same(api: Api) -> None:
    for sub in ("alice", "bob"):
        await (await api.limited_to("write", "*", sub=sub)).create(external_id="x")

    found = (await api.read("/events"))["data"]
    assert sorted((each["created_by"], each["external_id"]) for each in found) == [("alice", "x"), ("bob", "x")]


async def test_it_is_free_again_once_the_event_is_deleted(api: Api) -> None:
    event = await api.create(external_id="x")
    await api.http.delete(f"/events/{event['id']}")

    assert (await api.create(external_id="x"))["id"] != event["id"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_change_collides_as_well_and_changes_nothing(api: Api, method: str) -> None:
    holder, event = await api.create(external_id="x"), await api.create(external_id="y")

    answer = await api.http.request(method, f"/events/{event['id']}", json={"external_id": "x", "name": "New"})

    assert_taken(answer, holder)
    assert (await api.read(f"/events/{event['id']}"))["version"] == 1


@pytest.mark.parametrize("restored", [False, True], ids=["changed", "restored"])
async def test_a_change_by_another_caller_collides_with_the_creators_events_and_names_none(
    api: Api, *, restored: bool
) -> None:
    alice = await api.limited_to("write", "alice", "team", sub="alice")
    bob = await api.limited_to("write", "bob", "team", sub="bob")
    shared = await alice.create(external_id="x", tags=["team"])
    await alice.change(shared, external_id=None)
    holder = await alice.create(external_id="x", tags=["alice"])

    if restored:
        answer = await bob.http.post(f"/events/{shared['id']}/versions/1/restore")
    else:
        answer = await bob.http.patch(f"/events/{shared['id']}", json={"external_id": "x"})

    assert_problem(answer, 409, "already_exists")
    assert holder["id"] not in answer.text


async def test_an_event_keeps_its_own_drops_it_and_takes_it_again(api: Api) -> None:
    event = await api.create(external_id="x")

    kept = await api.change(event, name="New", external_id="x")
    dropped = await api.change(event, external_id=None)
    other = await api.create(external_id="x")

    assert (kept["external_id"], dropped["external_id"]) == ("x", None)
    assert_taken(await api.http.patch(f"/events/{event['id']}", json={"external_id": "x"}), other)


async def test_of_twenty_at_once_one_is_created(api: Api, context: Context) -> None:
    sent = await asyncio.gather(
        *(api.http.post("/events", json=event_body(external_id="x", name=f"{n}")) for n in range(20))
    )

    [created] = [answer.json() for answer in sent if answer.status_code == 201]
    for answer in sent:
        if answer.status_code != 201:
            assert_taken(answer, created)
    async with context.pool.connection() as conn:
        cursor = await conn.execute("SELECT count(*) FROM event_versions")
        assert await cursor.fetchall() == [(1,)]


@pytest.mark.parametrize("external_id", ["", "a" * 256, 7, ["x"]])
async def test_what_is_none_is_refused(api: Api, external_id: object) -> None:
    answer = await api.http.post("/events", json=event_body(external_id=external_id))

    [error] = assert_problem(answer, 422)
    assert error["pointer"] == "/external_id"
    assert error["example"]
