"""Many events in one request: all of them or none, and every error of all of them."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from shared.errors import MOST_ERRORS
from shared.store.pool import Connection
from tests.integration.api.client import Api, Json, as_read, assert_problem, event_body, in_seconds, pointers

RULE = {"schedule": "FREQ=DAILY", "start_time": "2027-03-20T09:00:00Z"}


async def send(api: Api, *events: object, key: str | None = None) -> httpx.Response:
    return await api.http.post(
        "/events/batch", json={"events": events}, headers={"idempotency-key": key} if key else {}
    )


async def names_of(api: Api) -> list[str]:
    return [each["name"] for page in await api.all_pages("/events") for each in page]


async def test_events_are_created_in_order_each_as_if_alone(api: Api) -> None:
    answer = await send(
        api,
        event_body(name="a", hmac_secret="a secret of its own", metadata={"n": [1, 1.0, None, "ä"]}),
        event_body(name="b", **RULE, tags=["x"], external_id="b"),
        event_body(name="c", start_time=in_seconds(-5)),
    )

    assert answer.status_code == 201, answer.text
    assert set(answer.json()) == {"data"}
    created: list[Json] = answer.json()["data"]
    assert [each["name"] for each in created] == ["a", "b", "c"]
    assert created[0]["has_hmac_secret"]
    for each in created:
        assert await api.read(f"/events/{each['id']}") | {"upcoming": []} == as_read(each) | {"upcoming": []}
        assert len(await api.occurrences_of(each)) == 1
    assert await names_of(api) == ["c", "b", "a"]


async def test_all_errors_of_all_events_point_at_their_place_and_nothing_is_stored(api: Api) -> None:
    good = event_body()

    answer = await send(api, good, event_body(name="", when="soon"), good, 7, event_body(schedule="FREQ=NEVER"))

    found = pointers(assert_problem(answer, 422, "validation_failed"))
    assert sorted(found) == ["/events/1/name", "/events/1/when", "/events/3", "/events/4/schedule"]
    assert await names_of(api) == []


async def test_a_code_that_all_errors_share_is_the_code_of_the_answer(api: Api) -> None:
    past = event_body(start_time="2020-01-01T00:00:00Z", schedule="FREQ=DAILY;COUNT=1")

    assert pointers(assert_problem(await send(api, event_body(), past), 422, "no_future_occurrence")) == [
        "/events/1/schedule"
    ]


async def test_of_very_many_errors_the_first_hundred_are_shown_and_the_answer_says_so(api: Api) -> None:
    found = assert_problem(await send(api, *[event_body(name="") for _ in range(200)]), 422)

    assert pointers(found) == [*(f"/events/{n}/name" for n in range(MOST_ERRORS)), ""]
    assert "100" in found[-1]["message"]


@pytest.mark.parametrize("number", [0, 1001])
async def test_what_is_no_list_of_1_to_1000_is_refused(api: Api, number: int) -> None:
    no_list: list[Json] = [{}, {"events": {}}, {"events": None}, {"events": "x"}]
    for body in (*no_list, {"events": [event_body()] * number}):
        answer = await api.http.post("/events/batch", json=body)

        assert pointers(assert_problem(answer, 422)) == ["/events"]


async def test_an_unknown_field_beside_the_events_is_refused(api: Api) -> None:
    answer = await api.http.post("/events/batch", json={"events": [event_body()], "atomic": True})

    assert pointers(assert_problem(answer, 422)) == ["/atomic"]


async def test_those_out_of_scope_are_named_and_nothing_is_stored(api: Api) -> None:
    caller = await api.limited_to("write", "user:*")

    answer = await send(caller, *(event_body(tags=[tag]) for tag in ("user:a", "system:b", "user:c", "d")))

    assert_problem(answer, 403, "out_of_scope")
    assert "/events/1, /events/3 " in answer.json()["detail"]
    assert await names_of(api) == []


async def test_an_external_id_that_stands_twice_is_refused(api: Api) -> None:
    answer = await send(api, event_body(external_id="x"), event_body(), event_body(external_id="x"))

    assert pointers(assert_problem(answer, 422)) == ["/events/2/external_id"]


async def test_external_ids_that_are_taken_are_all_named_and_nothing_is_stored(api: Api, conn: Connection) -> None:
    x = await api.create(external_id="x", name="x")
    await api.create(external_id="y", name="y")

    answer = await send(api, event_body(name="new"), event_body(external_id="x"), event_body(external_id="y"))

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "already_exists")
    assert pointers(problem["errors"]) == ["/events/1/external_id", "/events/2/external_id"]
    assert problem["existing_id"] == x["id"]
    assert await names_of(api) == ["y", "x"]
    cursor = await conn.execute("SELECT (SELECT count(*) FROM deliveries), (SELECT count(*) FROM event_versions)")
    assert await cursor.fetchall() == [(2, 2)]


async def test_of_two_batches_at_once_with_the_same_external_ids_in_another_order_one_is_created(api: Api) -> None:
    events = [event_body(name=f"{n}", external_id=f"{n}") for n in range(100)]

    answers = await asyncio.gather(send(api, *events), send(api, *reversed(events)))

    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert len(await names_of(api)) == len(events)


async def test_similar_events_are_those_that_were_there_before(api: Api) -> None:
    there = await api.create(name="a")

    created = (await send(api, event_body(name="a"), event_body(name="a"), event_body(name="b"))).json()["data"]

    assert [each["similar_events"] for each in created] == [[there["id"]], [there["id"]], []]


async def test_a_repeated_batch_with_a_key_is_answered_as_the_first_time(api: Api) -> None:
    first = await send(api, event_body(name="a"), event_body(name="b"), key="k")

    again = await send(api, event_body(name="a"), event_body(name="b"), key="k")
    other = await send(api, event_body(name="b"), event_body(name="a"), key="k")

    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert_problem(other, 422, "idempotency_key_reused")
    assert await names_of(api) == ["b", "a"]


async def test_a_thousand_events_take_one_statement(api: Api, conn: Connection) -> None:
    events = [event_body(name=f"{n}", external_id=f"{n}", tags=["x", "y"]) for n in range(1000)]
    begun = time.perf_counter()

    answer = await send(api, *events, key="k")

    print(f"1000 events in {time.perf_counter() - begun:.2f} s, {len(answer.content)} bytes")  # noqa: T201
    assert answer.status_code == 201, answer.text
    assert [each["name"] for each in answer.json()["data"]] == [event["name"] for event in events]
    cursor = await conn.execute("SELECT count(DISTINCT xmin::text) FROM events")
    assert await cursor.fetchall() == [(1,)]
    cursor = await conn.execute("SELECT count(*), count(DISTINCT event_id) FROM deliveries")
    assert await cursor.fetchall() == [(1000, 1000)]
