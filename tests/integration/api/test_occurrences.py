"""Occurrences and attempts as clients read them."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from shared.domain.attempts import Outcome
from shared.domain.ids import OccurrenceId
from shared.store import attempts
from shared.store.pool import Connection
from tests.factories import NOON, attempt_of
from tests.integration.api.client import Api, Json, assert_problem, ids

FIELDS = {
    "id", "event_id", "event_version", "recurrence_id", "scheduled_at", "status", "status_reason", "attempt_count",
    "next_attempt_at", "delivered_at", "created_at", "updated_at",
}  # fmt: skip
ATTEMPT_FIELDS = {
    "number", "started_at", "duration_ms", "outcome", "status_code", "response_headers", "response_body", "error",
    "url",
}  # fmt: skip


@pytest.fixture
async def listed(api: Api) -> dict[str, str]:
    """Occurrences of three events, by id, in the order of their times."""
    events = {
        "spring": await api.create(start_time="2027-03-20T00:00:00Z", tags=["a", "b"]),
        "summer": await api.create(start_time="2027-06-20T00:00:00Z", tags=["a"]),
        "autumn": await api.create(start_time="2027-09-20T00:00:00Z", tags=["b"]),
    }
    await api.http.delete(f"/events/{events['autumn']['id']}")
    return {event["upcoming"][0]["occurrence_id"]: name for name, event in events.items()}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ["autumn", "summer", "spring"]),
        ({"tags": "a,b"}, ["spring"]),
        ({"any_tags": "a,b"}, ["autumn", "summer", "spring"]),
        ({"tags": "c"}, []),
        ({"status": "scheduled"}, ["summer", "spring"]),
        ({"status": "cancelled"}, ["autumn"]),
        ({"status": "delivered"}, []),
        ({"from": "2027-06-20T00:00:00Z"}, ["autumn", "summer"]),
        ({"to": "2027-06-20T00:00:00Z"}, ["summer", "spring"]),
        ({"from": "2027-03-20T00:00:01Z", "to": "2027-06-20T02:00:00+02:00"}, ["summer"]),
        ({"event_id": "01a20ede-64e4-73f8-9798-f88b0cce1a0a"}, []),
    ],
    ids=str,
)
async def test_filters_narrow_the_list(
    api: Api, listed: dict[str, str], params: dict[str, str], expected: list[str]
) -> None:
    found = (await api.read("/occurrences", **params))["data"]

    assert [listed[occurrence["id"]] for occurrence in found] == expected


async def test_an_occurrence_is_the_same_in_every_place(api: Api) -> None:
    event = await api.create(start_time="2027-03-20T00:00:00Z")
    await api.create()

    [of_event] = await api.occurrences_of(event)
    [filtered] = (await api.read("/occurrences", event_id=event["id"]))["data"]
    read = await api.read(f"/occurrences/{of_event['id']}")

    assert of_event == filtered == read
    assert read.keys() >= FIELDS
    expected: Json = {
        "event_id": event["id"],
        "event_version": 1,
        "recurrence_id": "2027-03-20T00:00:00",
        "scheduled_at": "2027-03-20T00:00:00Z",
        "status": "scheduled",
        "status_reason": None,
        "attempt_count": 0,
        "next_attempt_at": "2027-03-20T00:00:00Z",
        "delivered_at": None,
    }
    assert {name: read[name] for name in expected} == expected


async def test_pages_of_occurrences_show_each_once(api: Api) -> None:
    event = await api.create(start_time="2027-03-20T00:00:00Z")
    for _ in range(6):
        await api.http.post(f"/events/{event['id']}/trigger")

    for path in ("/occurrences", f"/events/{event['id']}/occurrences"):
        pages = await api.all_pages(path, limit=3)

        assert [len(page) for page in pages] == [3, 3, 1]
        shown = [occurrence for page in pages for occurrence in page]
        assert ids(shown) == sorted(ids(shown), reverse=True)
        assert len(set(ids(shown))) == 7


async def test_occurrences_of_a_deleted_event_stay_readable_by_its_id(api: Api) -> None:
    event = await api.create(tags=["a"])
    alice = await api.limited_to("read", "a")
    await api.http.delete(f"/events/{event['id']}")

    [occurrence] = (await alice.read("/occurrences", event_id=event["id"]))["data"]

    assert occurrence["status"] == "cancelled"
    assert (await alice.read(f"/occurrences/{occurrence['id']}"))["id"] == occurrence["id"]


async def test_a_malformed_event_id_is_404_or_422_but_lists_nothing(api: Api) -> None:
    answer = await api.http.get("/occurrences", params={"event_id": "nope"})

    assert_problem(answer, answer.status_code)
    assert answer.status_code in (404, 422)


async def test_attempts_are_answered_newest_first_in_pages(api: Api, conn: Connection) -> None:
    occurrence_id = (await api.create())["upcoming"][0]["occurrence_id"]
    made = [
        msgspec.structs.replace(
            attempt_of(OccurrenceId(UUID(occurrence_id)), epoch=number, number=number, outcome=Outcome.HTTP_ERROR),
            started_at=NOON + timedelta(seconds=number),
            status_code=500,
            response_headers={"x-a": "b"},
            response_body="no",
        )
        for number in range(1, 8)
    ]
    await attempts.record(conn, made)
    path = f"/occurrences/{occurrence_id}/attempts"

    pages = await api.all_pages(path, limit=3)

    assert [[each["number"] for each in page] for page in pages] == [[7, 6, 5], [4, 3, 2], [1]]
    newest = pages[0][0]
    assert newest.keys() >= ATTEMPT_FIELDS
    assert newest["started_at"] == "2026-03-20T12:00:07Z"
    assert (newest["outcome"], newest["status_code"], newest["duration_ms"]) == ("http_error", 500, 80)
    assert (newest["response_headers"], newest["response_body"], newest["error"]) == ({"x-a": "b"}, "no", None)
    assert await api.read(path) == {"data": [each for page in pages for each in page], "next_cursor": None}
