"""What a change of an event keeps, what it plans anew, and who may not make it."""

from __future__ import annotations

import asyncio
import json

import pytest

from shared.domain.deliveries import Finished
from shared.domain.ids import EventId
from shared.store import deliveries, events
from shared.store.pool import Connection
from shared.store.sight import EVERYTHING
from tests.factories import DAY, held_by, utc_now
from tests.integration.api.client import Api, Json, assert_problem, in_seconds, pointers

START = "2027-03-22T09:00:00Z"
METHODS = pytest.mark.parametrize("method", ["PUT", "PATCH"])


@METHODS
async def test_a_field_that_is_left_out_keeps_its_value(api: Api, method: str) -> None:
    event = await api.create(
        start_time=START, schedule="FREQ=DAILY", description="old", tags=["a"], metadata={"x": 1}, headers={"x-a": "1"}
    )

    answer = await api.http.request(method, f"/events/{event['id']}", json={"name": "New"})

    changed = answer.json()
    assert answer.headers["etag"] == '"2"'
    different = {name for name in event if changed[name] != event[name]}
    assert different == {"name", "version", "updated_at"}


@METHODS
async def test_an_answer_that_is_sent_back_changes_nothing(api: Api, method: str) -> None:
    event = await api.create(
        start_time="2027-11-07T01:30:00-05:00",
        timezone="America/New_York",
        schedule="FREQ=DAILY;COUNT=9",
        rdates=["2027-12-01T00:00:00Z"],
        exdates=["2027-11-08T06:30:00Z"],
        retry={"max_attempts": 3, "delays": ["PT1S"], "max_age": "P1D"},
        expires_after="PT1H",
        metadata={"a": {"b": [1]}},
        hmac_secret="0123456789abcdef",
        tags=["b", "a"],
    )

    answer = await api.http.request(method, f"/events/{event['id']}", json=event)

    assert (answer.status_code, answer.json()) == (200, event)
    assert await api.read(f"/events/{event['id']}") == event
    assert answer.headers["etag"] == '"1"'


@pytest.mark.parametrize("number", [1e25, 1e308, -1e300, 2.0**70, 5e-324])
async def test_an_answer_with_an_extreme_number_can_be_sent_back(api: Api, number: float) -> None:
    event = await api.create(metadata={"a": number})
    read = await api.http.get(f"/events/{event['id']}")

    answer = await api.http.put(f"/events/{event['id']}", content=read.content)

    assert (answer.status_code, answer.json()) == (200, read.json())


@METHODS
async def test_objects_merge_and_lists_are_replaced_and_null_clears(api: Api, method: str) -> None:
    event = await api.create(
        start_time=START,
        description="old",
        tags=["a", "b"],
        metadata={"keep": 1, "drop": 2, "deep": {"keep": 1, "drop": 2}},
        headers={"x-keep": "1", "x-drop": "2"},
        retry={"max_attempts": 3, "delays": ["PT1S", "PT2S"], "jitter": 0, "max_age": "P1D"},
        expires_after="PT1H",
        hmac_secret="0123456789abcdef",
    )
    change = {
        "description": None,
        "tags": ["c"],
        "metadata": {"drop": None, "deep": {"drop": None, "new": 3}, "new": {"a": None, "b": 1}},
        "headers": {"x-drop": None, "x-new": "3"},
        "retry": {"delays": ["PT9S"], "max_age": None},
        "expires_after": None,
        "hmac_secret": None,
    }

    changed = (await api.http.request(method, f"/events/{event['id']}", json=change)).json()

    assert changed["description"] == ""
    assert changed["tags"] == ["c"]
    assert changed["metadata"] == {"keep": 1, "deep": {"keep": 1, "new": 3}, "new": {"b": 1}}
    assert changed["headers"] == {"x-keep": "1", "x-new": "3"}
    assert changed["retry"] == {"max_attempts": 3, "delays": ["PT9S"], "jitter": 0, "max_age": None}
    assert changed["expires_after"] is None
    assert changed["has_hmac_secret"] is False
    assert changed["version"] == 2


@pytest.mark.parametrize("name", ["name", "webhook_url", "start_time"])
async def test_a_required_field_cannot_be_cleared(api: Api, name: str) -> None:
    event = await api.create()

    answer = await api.http.patch(f"/events/{event['id']}", json={name: None, "description": "new"})

    assert pointers(assert_problem(answer, 422, "validation_failed")) == [f"/{name}"]
    assert await api.read(f"/events/{event['id']}") == event


async def test_an_unknown_field_is_refused_and_only_answered_ones_are_ignored(api: Api) -> None:
    event = await api.create()
    path = f"/events/{event['id']}"

    ignored = await api.http.patch(path, json={"status": "deleted", "version": 9, "created_by": "me", "id": "x"})

    assert ignored.json() == event
    for value in (1, None, {"a": None}):
        refused = await api.http.patch(path, json={"nope": value})
        assert pointers(assert_problem(refused, 422)) == ["/nope"]


async def test_a_bad_change_is_answered_with_all_of_its_errors_and_changes_nothing(api: Api) -> None:
    event = await api.create(start_time=START, schedule="FREQ=DAILY")

    answer = await api.http.put(
        f"/events/{event['id']}", json={"name": "", "schedule": "FREQ=X", "retry": {"max_attempts": 0}, "tags": ["*"]}
    )

    assert sorted(pointers(assert_problem(answer, 422))) == ["/name", "/retry/max_attempts", "/schedule", "/tags/0"]
    assert await api.read(f"/events/{event['id']}") == event


async def test_a_name_change_keeps_the_waiting_delivery_and_raises_its_version(api: Api) -> None:
    event = await api.create(start_time=START, schedule="FREQ=DAILY")
    [before] = await api.occurrences_of(event)

    await api.change(event, name="New")

    [after] = await api.occurrences_of(event)
    assert after == before | {"event_version": 2, "updated_at": after["updated_at"]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"schedule": "FREQ=WEEKLY;BYDAY=TU"}, "2027-03-23T09:00:00Z"),
        ({"schedule": None, "start_time": "2027-04-01T00:00:00Z"}, "2027-04-01T00:00:00Z"),
        ({"schedule": None}, START),
        ({"start_time": "2027-03-25T10:00:00Z"}, "2027-03-25T10:00:00Z"),
        ({"exdates": [START]}, "2027-03-23T09:00:00Z"),
        ({"rdates": ["2027-03-21T00:00:00Z"]}, "2027-03-21T00:00:00Z"),
    ],
    ids=str,
)
async def test_a_change_of_timing_moves_the_waiting_delivery(api: Api, change: Json, expected: str) -> None:
    event = await api.create(start_time=START, schedule="FREQ=DAILY")

    changed = await api.change(event, **change)

    [occurrence] = await api.occurrences_of(event)
    assert occurrence["scheduled_at"] == changed["next_at"] == expected
    assert occurrence["id"] == changed["upcoming"][0]["occurrence_id"]
    assert (occurrence["status"], occurrence["event_version"]) == ("scheduled", 2)


async def test_in_moves_a_one_time_event(api: Api) -> None:
    event = await api.create(start_time=START)

    changed = await api.change(event, in_="PT2H")

    [occurrence] = await api.occurrences_of(event)
    assert occurrence["scheduled_at"] == changed["start_time"] == changed["next_at"]
    assert in_seconds(7100) < changed["start_time"] < in_seconds(7201)


async def test_a_start_that_is_left_out_stays_the_same_instant_in_a_new_zone(api: Api) -> None:
    event = await api.create(start_time="2027-03-22T09:00:00", timezone="Europe/Berlin", schedule="FREQ=DAILY")

    changed = await api.change(event, timezone="America/New_York")

    assert changed["start_time"] == event["start_time"] == "2027-03-22T08:00:00Z"
    assert changed["upcoming"][0]["recurrence_id"] == "2027-03-22T04:00:00"


async def test_a_new_local_start_is_read_in_the_zone_that_the_event_has(api: Api) -> None:
    event = await api.create(start_time="2027-03-22T09:00:00", timezone="Europe/Berlin", schedule="FREQ=DAILY")

    kept_zone = await api.change(event, start_time="2027-03-30T09:00:00")
    both = await api.change(event, start_time="2027-03-30T09:00:00", timezone="Asia/Tokyo")

    assert kept_zone["start_time"] == "2027-03-30T07:00:00Z"
    assert (both["start_time"], both["timezone"]) == ("2027-03-30T00:00:00Z", "Asia/Tokyo")


async def test_a_local_start_that_does_not_exist_is_kept_over_other_changes(api: Api) -> None:
    event = await api.create(start_time="2027-03-14T02:30:00", timezone="America/New_York", schedule="FREQ=DAILY")
    assert event["upcoming"][1]["local"] == "2027-03-15T02:30:00-04:00"

    changed = await api.change(event, schedule="FREQ=DAILY;COUNT=5")
    named = await api.change(event, name="New", start_time=changed["start_time"], timezone="America/New_York")

    for after in (changed, named):
        assert after["upcoming"][0]["recurrence_id"] == "2027-03-14T02:30:00"
        assert after["upcoming"][1]["local"] == "2027-03-15T02:30:00-04:00"


async def test_a_timing_that_stays_is_not_judged_again_by_the_clock(api: Api, conn: Connection) -> None:
    event = await api.create()
    timing = {"start_at": "2020-01-01T00:00:00Z", "start_local": "2020-01-01T00:00:00"}
    await conn.execute(
        "UPDATE event_versions SET content = (content::jsonb || jsonb_build_object('timing', %s::jsonb))::json",
        [json.dumps(timing)],
    )

    assert (await api.change(event, name="New"))["start_time"] == timing["start_at"]
    answer = await api.http.patch(f"/events/{event['id']}", json={"start_time": "2020-01-02T00:00:00Z"})
    assert pointers(assert_problem(answer, 422)) == ["/start_time"]


async def test_a_recurrence_cannot_be_changed_into_one_without_a_future(api: Api) -> None:
    event = await api.create(start_time="2026-01-01T00:00:00Z", schedule="FREQ=DAILY")

    answer = await api.http.patch(f"/events/{event['id']}", json={"schedule": "FREQ=DAILY;COUNT=2"})

    assert_problem(answer, 422, "no_future_occurrence")
    assert await api.read(f"/events/{event['id']}") | {"upcoming": []} == event | {"upcoming": []}


@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        ('"1"', 200),
        ("*", 200),
        ('"7", "1"', 200),
        ('"7","1"', 200),
        ('"7" , "1"', 200),
        ('"2"', 412),
        ("1", 412),
        ("", 412),
        ('"11"', 412),
    ],
)
@METHODS
async def test_if_match_is_honoured(api: Api, method: str, if_match: str, status: int) -> None:
    event = await api.create()

    answer = await api.http.request(
        method, f"/events/{event['id']}", json={"name": "New"}, headers={"if-match": if_match}
    )

    if status == 412:
        assert_problem(answer, 412, "precondition_failed")
    assert answer.status_code == status
    assert (await api.read(f"/events/{event['id']}"))["version"] == (2 if status == 200 else 1)


async def test_of_two_changes_of_one_version_only_one_succeeds(api: Api) -> None:
    event = await api.create()

    answers = await asyncio.gather(
        *(
            api.http.patch(f"/events/{event['id']}", json={"name": name}, headers={"if-match": '"1"'})
            for name in ("one", "two", "three")
        )
    )

    assert sorted(answer.status_code for answer in answers) == [200, 412, 412]


async def test_changes_at_the_same_time_are_made_one_after_the_other_and_none_is_lost(api: Api) -> None:
    event = await api.create(start_time=START, schedule="FREQ=DAILY")

    await asyncio.gather(*(api.change(event, metadata={str(n): n}) for n in range(10)))

    after = await api.read(f"/events/{event['id']}")
    assert (after["version"], after["metadata"]) == (11, {str(n): n for n in range(10)})
    [occurrence] = await api.occurrences_of(event)
    assert occurrence["event_version"] == 11


async def test_every_change_leaves_a_version_that_says_what_who_and_when(api: Api, conn: Connection) -> None:
    event = await api.create(tags=["a"])
    alice = await api.limited_to("write", "a")
    await alice.change(event, name="New", metadata={"x": 1})
    await api.change(event, hmac_secret="0123456789abcdef")
    await api.http.delete(f"/events/{event['id']}")

    rows = await conn.execute("SELECT version, change, fields, changed_by FROM event_versions ORDER BY version")

    assert await rows.fetchall() == [
        (1, "created", [], "master"),
        (2, "updated", ["name", "metadata"], "alice"),
        (3, "updated", ["hmac_secret"], "master"),
        (4, "deleted", [], "master"),
    ]


async def test_a_delivery_that_has_begun_is_left_alone_by_a_change_of_timing(api: Api, conn: Connection) -> None:
    event = await api.create(start_time=in_seconds(-1))
    [claim] = await deliveries.claim_due(conn, limit=10)
    await deliveries.begin(conn, [held_by(claim)])

    changed = await api.change(event, start_time=START)

    found = {each["id"]: (each["status"], each["event_version"]) for each in await api.occurrences_of(event)}
    assert found == {
        str(claim.occurrence_id): ("queued", 1),
        changed["upcoming"][0]["occurrence_id"]: ("scheduled", 2),
    }


async def test_deleting_cancels_what_waits_and_what_is_claimed_ahead_of_its_time(api: Api, conn: Connection) -> None:
    event = await api.create(start_time=in_seconds(3600))
    [claim] = await deliveries.claim_due(conn, limit=10, horizon=DAY)

    await api.http.delete(f"/events/{event['id']}")

    found = await api.read(f"/occurrences/{claim.occurrence_id}")
    assert (found["status"], found["status_reason"]) == ("cancelled", "event_deleted")
    assert await deliveries.claim_due(conn, limit=10, horizon=DAY, now=utc_now()) == []


async def test_deleting_lets_what_has_begun_come_to_its_end(api: Api, conn: Connection) -> None:
    event = await api.create(start_time=in_seconds(-1))
    [claim] = await deliveries.claim_due(conn, limit=10)
    await deliveries.begin(conn, [held_by(claim)])

    await api.http.delete(f"/events/{event['id']}")

    assert (await api.read(f"/occurrences/{claim.occurrence_id}"))["status"] == "queued"


async def test_a_completed_event_lives_again_with_a_new_time(api: Api, conn: Connection) -> None:
    event = await api.create(start_time=in_seconds(-1))
    [claim] = await deliveries.claim_due(conn, limit=10)
    ended = Finished(claim.occurrence_id, claim.epoch, "delivered", None, 1)
    await deliveries.finish(conn, [ended])
    await events.complete_finished(conn, [claim.event_id])
    completed = await api.read(f"/events/{event['id']}")
    assert (completed["status"], completed["next_at"], completed["upcoming"]) == ("completed", None, [])

    changed = await api.change(event, start_time=START)

    assert (changed["status"], changed["next_at"]) == ("active", START)
    [waiting, delivered] = await api.occurrences_of(event)
    assert (waiting["status"], waiting["scheduled_at"], delivered["status"]) == ("scheduled", START, "delivered")


async def test_a_disabled_event_cannot_be_triggered(api: Api, conn: Connection) -> None:
    event = await api.create()
    stored = await events.newest(conn, events.Filters(), sight=EVERYTHING, before=None, limit=1)
    await events.disable(conn, [EventId(stored[0].id)], reason="gone")

    answer = await api.http.post(f"/events/{event['id']}/trigger")

    assert_problem(answer, 409, "event_disabled")
    disabled = await api.read(f"/events/{event['id']}")
    assert (disabled["status"], disabled["status_reason"], disabled["next_at"]) == ("disabled", "gone", None)
