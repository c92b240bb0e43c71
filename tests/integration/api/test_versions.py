"""What an event was stays readable, and it can be that again."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from shared.store.pool import Connection
from tests.integration.api.client import Api, Json, assert_problem, event_body, in_seconds, pointers

DAILY = {"schedule": "FREQ=DAILY", "start_time": "2027-03-22T09:00:00Z"}
LATER = "2027-05-01T09:00:00Z"


async def restore(api: Api, event: Json, version: int) -> Json:
    answer = await api.http.post(f"/events/{event['id']}/versions/{version}/restore")
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == f'"{answer.json()["version"]}"'
    return answer.json()


async def waiting(api: Api, event: Json) -> list[str]:
    found = (await api.read("/occurrences", event_id=event["id"], status="scheduled"))["data"]
    return [each["scheduled_at"] for each in found]


async def test_every_change_is_a_version_that_says_who_made_it_and_what_it_changed(api: Api) -> None:
    event = await api.create(**DAILY, tags=["a"])
    await (await api.limited_to("write", "a", sub="alice")).change(event, name="New", metadata={"x": 1})
    for step in ("pause", "resume"):
        await api.http.post(f"/events/{event['id']}/{step}")
    await api.http.delete(f"/events/{event['id']}")
    await restore(api, event, 1)

    pages = await api.all_pages(f"/events/{event['id']}/versions", limit=4)

    found = [each for page in pages for each in page]
    assert [len(page) for page in pages] == [4, 2]
    assert [each["version"] for each in found] == [6, 5, 4, 3, 2, 1]
    assert [each["change"] for each in found] == ["restored", "deleted", "resumed", "paused", "updated", "created"]
    assert [each["changed_by"] for each in found] == ["master"] * 4 + ["alice", "master"]
    assert [sorted(each["fields"]) for each in found] == [["metadata", "name"], [], [], [], ["metadata", "name"], []]
    assert all(each["changed_at"].endswith("Z") for each in found)


async def test_a_version_is_the_event_as_it_was_without_its_secret(api: Api) -> None:
    event = await api.create(**DAILY, hmac_secret="a secret of its own", body={"a": "{{event.name}}"}, external_id="x")
    await api.change(event, name="New", external_id=None)

    first = await api.read(f"/events/{event['id']}/versions/1")
    second = await api.read(f"/events/{event['id']}/versions/2")

    shared = first.keys() & event.keys()
    assert {name: first[name] for name in shared} == {name: event[name] for name in shared}
    assert set(event_body(**DAILY)) | {"version", "body", "external_id", "created_by", "retry"} <= shared
    assert (first["change"], first["changed_by"], first["fields"]) == ("created", "master", [])
    assert (second["name"], second["external_id"], second["change"]) == ("New", None, "updated")
    assert "secret" not in str(first)


@pytest.mark.parametrize("number", ["3", "0", "-1", "x", "1.0", "99999999999", "²", "01"])
async def test_what_is_no_version_is_not_found(api: Api, number: str) -> None:
    event = await api.create()
    path = f"/events/{event['id']}/versions/{number}"

    assert_problem(await api.http.get(path), 404, "version_not_found")
    assert_problem(await api.http.post(path + "/restore"), 404, "version_not_found")
    assert pointers(assert_problem(await api.http.get(f"/events/{event['id']}/versions?cursor=x"), 422)) == ["cursor"]


async def test_restoring_brings_back_content_and_timing_as_a_new_version(api: Api) -> None:
    event = await api.create(**DAILY, description="old")
    await api.change(event, start_time=LATER, description="new")
    assert await waiting(api, event) == [LATER]

    restored = await restore(api, event, 1)

    assert restored == await api.read(f"/events/{event['id']}")
    unchanged = event.keys() - {"version", "updated_at"}
    assert {name: restored[name] for name in unchanged} == {name: event[name] for name in unchanged}
    assert restored["version"] == 3
    assert await waiting(api, event) == [DAILY["start_time"]]


async def test_a_secret_is_not_part_of_a_version(api: Api) -> None:
    event = await api.create(hmac_secret="a secret of its own")
    await api.change(event, hmac_secret=None)

    assert (await restore(api, event, 1))["has_hmac_secret"] is False


async def test_a_deleted_event_can_be_read_and_lives_again(api: Api) -> None:
    event = await api.create(**DAILY)
    await api.http.delete(f"/events/{event['id']}")
    assert (await api.read(f"/events/{event['id']}/versions"))["data"][0]["change"] == "deleted"
    assert await waiting(api, event) == []

    restored = await restore(api, event, 1)

    assert (restored["status"], restored["next_at"]) == ("active", DAILY["start_time"])
    assert restored == await api.read(f"/events/{event['id']}")
    assert await waiting(api, event) == [DAILY["start_time"]]


async def test_one_that_was_deleted_while_paused_lives_again_active(api: Api, conn: Connection) -> None:
    event = await api.create(**DAILY)
    await api.http.post(f"/events/{event['id']}/pause", json={"until": in_seconds(3600)})
    await api.http.delete(f"/events/{event['id']}")

    assert (await restore(api, event, 2))["status"] == "active"

    assert await waiting(api, event) == [DAILY["start_time"]]
    cursor = await conn.execute("SELECT stopped_at, paused_until FROM events")
    assert await cursor.fetchall() == [(None, None)]


async def test_a_paused_event_stays_paused(api: Api) -> None:
    event = await api.create(**DAILY)
    await api.change(event, start_time=LATER)
    await api.http.post(f"/events/{event['id']}/pause")

    assert (await restore(api, event, 1))["status"] == "paused"
    assert await waiting(api, event) == []

    await api.http.post(f"/events/{event['id']}/resume")
    assert await waiting(api, event) == [DAILY["start_time"]]


@pytest.mark.parametrize("deleted", [True, False])
@pytest.mark.parametrize(
    "past",
    [{"start_time": "2020-01-01T09:00:00Z"}, {"start_time": "2020-01-01T09:00:00Z", "schedule": "FREQ=DAILY;COUNT=2"}],
    ids=["once", "recurring"],
)
async def test_one_whose_time_has_passed_is_restored_as_completed_and_never_delivered(
    api: Api, conn: Connection, past: dict[str, Any], deleted: bool
) -> None:
    event = await api.create(**DAILY)
    timing = {"start_at": past["start_time"], "start_local": "2020-01-01T09:00:00"}
    if "schedule" in past:
        timing |= {"schedule": past["schedule"], "schedule_until": "2020-01-02T09:00:00Z"}
    await conn.execute(
        "UPDATE event_versions SET content = (content::jsonb || jsonb_build_object('timing', %s::jsonb))::json",
        [json.dumps(timing)],
    )
    await api.change(event, start_time=LATER, schedule=None)
    if deleted:
        await api.http.delete(f"/events/{event['id']}")

    restored = await restore(api, event, 1)

    assert (restored["status"], restored["next_at"]) == ("completed", None)
    assert await waiting(api, event) == []


async def test_the_result_must_be_in_scope(api: Api) -> None:
    event = await api.create(tags=["system:a"])
    await api.change(event, tags=["user:alice"])
    caller = await api.limited_to("write", "user:*")

    answer = await caller.http.post(f"/events/{event['id']}/versions/1/restore")

    assert_problem(answer, 403, "out_of_scope")
    assert (await api.read(f"/events/{event['id']}"))["version"] == 2


async def test_an_external_id_that_is_in_use_by_now_is_a_409(api: Api) -> None:
    event = await api.create(external_id="x")
    await api.http.delete(f"/events/{event['id']}")
    holder = await api.create(external_id="x")

    answer = await api.http.post(f"/events/{event['id']}/versions/1/restore")

    assert (answer.status_code, answer.json()["existing_id"]) == (409, holder["id"])
    assert_problem(await api.http.get(f"/events/{event['id']}"), 404)


async def test_if_match_is_honoured(api: Api) -> None:
    event = await api.create()
    path = f"/events/{event['id']}/versions/1/restore"
    await api.change(event, name="New")

    assert_problem(await api.http.post(path, headers={"if-match": '"1"'}), 412, "precondition_failed")
    assert (await api.http.post(path, headers={"if-match": '"2"'})).json()["name"] == event["name"]


async def test_of_two_changes_at_once_that_match_the_same_version_one_is_made(api: Api) -> None:
    event = await api.create()
    path, match = f"/events/{event['id']}", {"if-match": '"1"'}

    answers = await asyncio.gather(
        *(api.http.patch(path, json={"name": f"Name {n}"}, headers=match) for n in range(2)),
    )

    assert sorted(answer.status_code for answer in answers) == [200, 412]
    [made] = [answer.json() for answer in answers if answer.status_code == 200]
    assert await api.read(path) == made
    assert made["version"] == 2
