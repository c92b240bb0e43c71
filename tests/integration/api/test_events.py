"""Events as clients write and read them: fields, defaults, lists, pages."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.factories import utc_now
from tests.integration.api.client import Api, Json, assert_problem, event_body, ids, in_seconds, pointers

OWN = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DEFAULTS: Json = {
    "description": "",
    "timezone": "UTC",
    "schedule": None,
    "rdates": [],
    "exdates": [],
    "dst_gap": "shift",
    "method": "POST",
    "headers": {},
    "body": None,
    "timeout": "PT15S",
    "expires_after": None,
    "has_hmac_secret": False,
    "tags": [],
    "metadata": {},
    "status": "active",
    "status_reason": None,
    "version": 1,
    "created_by": "master",
    "warnings": [],
}
DEFAULT_RETRY = {
    "max_attempts": 10,
    "delays": ["PT5S", "PT5M", "PT30M", "PT2H", "PT5H", "PT10H", "PT14H", "PT20H", "PT24H"],
    "jitter": 0.2,
    "max_age": None,
}


async def test_defaults_are_answered_filled_in(api: Api) -> None:
    event = await api.create(start_time="2027-03-20T00:00:00Z")

    assert {name: event[name] for name in DEFAULTS} == DEFAULTS
    assert event["retry"] == DEFAULT_RETRY
    assert event["start_time"] == event["next_at"] == "2027-03-20T00:00:00Z"
    assert event["created_at"] == event["updated_at"]
    assert event["summary"]
    [upcoming] = event["upcoming"]
    [occurrence] = await api.occurrences_of(event)
    assert upcoming == {
        "recurrence_id": "2027-03-20T00:00:00",
        "scheduled_at": "2027-03-20T00:00:00Z",
        "local": upcoming["local"],
        "occurrence_id": occurrence["id"],
        "flags": [],
    }
    assert datetime.fromisoformat(upcoming["local"]) == datetime.fromisoformat("2027-03-20T00:00:00+00:00")


async def test_null_for_an_optional_field_means_its_default(api: Api) -> None:
    cleared = dict.fromkeys(
        ("description", "timezone", "schedule", "rdates", "exdates", "dst_gap", "method", "headers", "body", "timeout",
         "retry", "expires_after", "hmac_secret", "tags", "metadata")
    )  # fmt: skip

    event = await api.create(start_time="2027-03-20T00:00:00Z", **cleared)

    assert {name: event[name] for name in DEFAULTS} == DEFAULTS
    assert event["retry"] == DEFAULT_RETRY


async def test_every_field_comes_back_as_it_was_sent(api: Api) -> None:
    fields: Json = {
        "name": "Größe 🦊",
        "description": "d" * 10_000,
        "start_time": "2027-03-20T09:00:00+01:00",
        "timezone": "Europe/Berlin",
        "schedule": "RRULE:FREQ=DAILY;INTERVAL=2;COUNT=9",
        "rdates": ["2027-03-21T12:00:00Z"],
        "exdates": ["2027-03-22T08:00:00Z"],
        "dst_gap": "skip",
        "webhook_url": "https://receiver.example:8443/hook?x=%20#part",
        "method": "PATCH",
        "headers": {"X-Team": "garden", "Content-Type": "application/cloudevents+json"},
        "body": {"a": [None, {"b": "{{ event.name }}"}], "null": None, "": 1.0},
        "timeout": "PT60S",
        "retry": {"max_attempts": 25, "delays": ["PT1S", "P1D"], "jitter": 0, "max_age": "P2D"},
        "expires_after": "PT1H",
        "tags": ["b", "a", "user:alice"],
        "metadata": {"nested": {"list": [1, 2.5, None, True, {"a": "\u0001"}]}, "big": 2**64 - 1},
    }

    event = await api.create(**fields, hmac_secret=OWN)

    assert {name: event[name] for name in fields} == fields | {
        "start_time": "2027-03-20T08:00:00Z",
        "schedule": "FREQ=DAILY;INTERVAL=2;COUNT=9",
    }
    assert event["has_hmac_secret"] is True
    assert [each["flags"] for each in event["upcoming"][:2]] == [[], ["rdate"]]


async def test_a_secret_is_never_answered(api: Api) -> None:
    created = await api.http.post("/events", json=event_body(hmac_secret=OWN))
    path = f"/events/{created.json()['id']}"
    answers = [
        created,
        await api.http.get(path),
        await api.http.patch(path, json={"name": "New"}),
        await api.http.put(path, json={"hmac_secret": OWN[::-1]}),
        await api.http.get("/events"),
        await api.http.post(path + "/trigger"),
        await api.http.get(path + "/occurrences"),
        await api.http.post("/events", json=event_body(hmac_secret=OWN, name="")),
    ]

    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 200, 202, 200, 422]
    assert not any(OWN in answer.text or OWN[::-1] in answer.text for answer in answers)
    assert (await api.read(path))["has_hmac_secret"] is True


async def test_a_structured_schedule_is_answered_as_the_rule_that_it_means(api: Api) -> None:
    schedule = {"frequency": "weekly", "interval": 2, "by_day": ["MO", "FR"], "count": 8}

    event = await api.create(start_time="2027-03-22T00:00:00Z", schedule=schedule)

    assert set(event["schedule"].split(";")) == {"FREQ=WEEKLY", "INTERVAL=2", "COUNT=8", "BYDAY=MO,FR"}
    assert await api.change(event, schedule=event["schedule"]) == event


@pytest.mark.parametrize(
    ("start", "zone", "expected"),
    [
        ("2027-03-20T09:00:00", "America/New_York", "2027-03-20T13:00:00Z"),
        ("2027-03-20T09:00:00", "UTC", "2027-03-20T09:00:00Z"),
        ("2027-03-14T02:30:00", "America/New_York", "2027-03-14T07:30:00Z"),  # does not exist: the offset before it
        ("2027-11-07T01:30:00", "America/New_York", "2027-11-07T05:30:00Z"),  # exists twice: the first
        ("2027-03-20T09:00:00+05:30", "America/New_York", "2027-03-20T03:30:00Z"),
    ],
)
async def test_a_local_time_is_read_in_its_zone(api: Api, start: str, zone: str, expected: str) -> None:
    event = await api.create(start_time=start, timezone=zone)

    assert (event["start_time"], event["next_at"]) == (expected, expected)


async def test_a_time_within_the_last_minute_is_due_at_once_and_an_older_one_is_refused(api: Api) -> None:
    late = in_seconds(-30)

    event = await api.create(start_time=late)
    errors = assert_problem(
        await api.http.post("/events", json=event_body(start_time=in_seconds(-61))), 422, "validation_failed"
    )

    [occurrence] = await api.occurrences_of(event)
    assert (occurrence["scheduled_at"], occurrence["status"]) == (event["start_time"], "scheduled")
    assert pointers(errors) == ["/start_time"]
    assert (await api.http.post("/events", json=event_body(start_time=errors[0]["example"]))).status_code == 201


@pytest.mark.parametrize(
    "timing",
    [
        {"start_time": "2020-01-01T00:00:00Z", "schedule": "FREQ=DAILY;COUNT=3"},
        {"start_time": "2020-01-01T00:00:00Z", "schedule": "FREQ=DAILY;UNTIL=20200109T000000Z"},
        {
            "start_time": "2027-01-01T00:00:00Z",
            "schedule": "FREQ=DAILY;COUNT=2",
            "exdates": ["2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z"],
        },
        {"start_time": "2020-01-01T00:00:00Z", "rdates": ["2020-01-02T00:00:00Z"]},
    ],
    ids=str,
)
async def test_a_recurrence_with_nothing_left_to_come_is_refused(api: Api, timing: Json) -> None:
    assert_problem(await api.http.post("/events", json=event_body(**timing)), 422, "no_future_occurrence")


async def test_a_recurrence_that_began_long_ago_delivers_only_what_comes_after_its_creation(api: Api) -> None:
    event = await api.create(start_time="2020-01-01T00:00:00Z", schedule="FREQ=DAILY")

    [occurrence] = await api.occurrences_of(event)
    scheduled_at = datetime.fromisoformat(occurrence["scheduled_at"])
    created_at = datetime.fromisoformat(event["created_at"])
    assert created_at < scheduled_at <= created_at + timedelta(days=1)


@pytest.mark.parametrize(
    ("fields", "code", "pointer"),
    [
        ({"schedule": "FREQ=SECONDLY"}, "interval_too_short", "/schedule"),
        ({"schedule": "FREQ=HOURLY;BYSECOND=0,30"}, "interval_too_short", "/schedule"),
        ({"schedule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "empty_recurrence", "/schedule"),
        ({"schedule": {"frequency": "daily", "until": "2020-01-01T00:00:00Z"}}, "empty_recurrence", "/schedule"),
        ({"schedule": "FREQ=NEVER"}, "invalid_schedule", "/schedule"),
        ({"schedule": ""}, "invalid_schedule", "/schedule"),
        ({"schedule": {"frequency": "weekly", "by_day": ["XX"]}}, "invalid_schedule", "/schedule"),
        ({"schedule": {"interval": 2}}, "validation_failed", "/schedule/frequency"),
        ({"schedule": {"frequency": "daily", "by_hour": [1]}}, "validation_failed", "/schedule/by_hour"),
        ({"schedule": 5}, "validation_failed", "/schedule"),
        ({"timezone": "Mars/Phobos"}, "invalid_schedule", "/timezone"),
        ({"start_time": "2027-03-20T09:00:00"}, "validation_failed", "/start_time"),
        ({"start_time": "2027-03-20"}, "validation_failed", "/start_time"),
        ({"start_time": "2027-02-30T09:00:00Z"}, "validation_failed", "/start_time"),
        ({"in_": "PT5M", "start_time": "2027-03-20T09:00:00Z"}, "validation_failed", "/in"),
        ({"in_": "P1Y"}, "validation_failed", "/in"),
        ({"in_": "-PT1S"}, "validation_failed", "/in"),
        ({"rdates": ["2027-03-20T09:00:00Z", "x"]}, "validation_failed", "/rdates/1"),
        ({"exdates": ["2027-03-20T09:00:00"]}, "validation_failed", "/exdates/0"),
        ({"rdates": ["2027-03-20T09:00:00Z"] * 1001}, "validation_failed", "/rdates"),
        ({"dst_gap": "jump"}, "validation_failed", "/dst_gap"),
        ({"name": "x" * 256}, "validation_failed", "/name"),
        ({"name": None}, "validation_failed", "/name"),
        ({"name": "a\0b"}, "validation_failed", "/name"),
        ({"description": "x" * 10_001}, "validation_failed", "/description"),
        ({"webhook_url": "http://127.1/"}, "validation_failed", "/webhook_url"),
        ({"webhook_url": "http://\u2460\u2461\u2466.0.0.1/"}, "validation_failed", "/webhook_url"),
        ({"webhook_url": "http://127\u30020\u30020\u30021/"}, "validation_failed", "/webhook_url"),
        ({"method": "GET"}, "validation_failed", "/method"),
        ({"headers": {"Webhook-Id": "x"}}, "validation_failed", "/headers/Webhook-Id"),
        ({"headers": {"x-a": "b\r\nx-c: d"}}, "validation_failed", "/headers/x-a"),
        ({"headers": {f"x-{n}": "" for n in range(33)}}, "validation_failed", "/headers"),
        ({"headers": {"x-a": 1}}, "validation_failed", "/headers/x-a"),
        ({"timeout": "PT0.9S"}, "validation_failed", "/timeout"),
        ({"timeout": "PT61S"}, "validation_failed", "/timeout"),
        ({"retry": {"max_attempts": 26}}, "validation_failed", "/retry/max_attempts"),
        ({"retry": {"delays": []}}, "validation_failed", "/retry/delays"),
        ({"retry": {"delays": ["PT1S", "x"]}}, "validation_failed", "/retry/delays/1"),
        ({"retry": {"jitter": 1.1}}, "validation_failed", "/retry/jitter"),
        ({"retry": {"max_age": "x"}}, "validation_failed", "/retry/max_age"),
        ({"retry": {"tries": 3}}, "validation_failed", "/retry/tries"),
        ({"expires_after": "soon"}, "validation_failed", "/expires_after"),
        ({"hmac_secret": "x" * 15}, "validation_failed", "/hmac_secret"),
        ({"hmac_secret": "x" * 256}, "validation_failed", "/hmac_secret"),
        ({"tags": ["a", "b c"]}, "validation_failed", "/tags/1"),
        ({"tags": ["abc\n"]}, "validation_failed", "/tags/0"),
        ({"tags": ["a*"]}, "validation_failed", "/tags/0"),
        ({"tags": ["a,b"]}, "validation_failed", "/tags/0"),
        ({"tags": [""]}, "validation_failed", "/tags/0"),
        ({"tags": ["x" * 129]}, "validation_failed", "/tags/0"),
        ({"tags": [str(n) for n in range(65)]}, "validation_failed", "/tags"),
        ({"metadata": []}, "validation_failed", "/metadata"),
        ({"metadata": {"a": "x" * 65_536}}, "validation_failed", "/metadata"),
        ({"metadata": {"a": 2**64}}, "validation_failed", "/metadata/a"),
        ({"metadata": {"a": {"b/~": "\0"}}}, "validation_failed", "/metadata/a/b~1~0"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_bad_field_is_refused_and_the_error_points_at_it(
    api: Api, fields: Json, code: str, pointer: str
) -> None:
    errors = assert_problem(await api.http.post("/events", json=event_body(**fields)), 422, code)

    assert pointers(errors) == [pointer]
    assert (await api.read("/events"))["data"] == []


async def test_pages_of_events_show_each_once_newest_first(api: Api) -> None:
    created = await asyncio.gather(*(api.create(name=f"Event {n}") for n in range(120)))

    pages = await api.all_pages("/events", limit=50)

    assert [len(page) for page in pages] == [50, 50, 20]
    shown = [event for page in pages for event in page]
    assert sorted(ids(shown)) == sorted(ids(created))
    assert [e["created_at"] for e in shown] == sorted((e["created_at"] for e in shown), reverse=True)
    assert len((await api.read("/events"))["data"]) == 50


async def test_pages_hold_still_while_newer_events_come_and_read_ones_go(api: Api) -> None:
    old = [await api.create() for _ in range(4)]
    first = await api.read("/events", limit=2)

    await api.create()
    await api.http.delete(f"/events/{first['data'][1]['id']}")
    second = await api.read("/events", limit=2, cursor=first["next_cursor"])

    assert ids(second["data"]) == ids(old)[1::-1]
    assert second["next_cursor"] is None


@pytest.fixture
async def listed(api: Api) -> dict[str, str]:
    """Three events, by id."""
    events = {
        "backup": await api.create(name="Daily BACKUP", tags=["system:backup", "daily"]),
        "report": await api.create(name="Ünder 100%_done", tags=["daily"]),
        "gone": await api.create(name="Gone", tags=["daily", "system:backup"]),
    }
    await api.http.delete(f"/events/{events['gone']['id']}")
    return {event["id"]: name for name, event in events.items()}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ["report", "backup"]),
        ({"tags": "daily"}, ["report", "backup"]),
        ({"tags": "daily,system:backup"}, ["backup"]),
        ({"tags": "daily, system:backup ,"}, ["backup"]),
        ({"tags": "system:*"}, []),
        ({"any_tags": "system:backup,other"}, ["backup"]),
        ({"any_tags": "other"}, []),
        ({"any_tags": "daily", "tags": "system:backup"}, ["backup"]),
        ({"status": "deleted"}, ["gone"]),
        ({"status": "active"}, ["report", "backup"]),
        ({"status": "paused"}, []),
        ({"name": "backup"}, ["backup"]),
        ({"name": "%"}, ["report"]),
        ({"name": "0%_D"}, ["report"]),
        ({"name": "üNDER"}, ["report"]),
        ({"name": "_"}, ["report"]),
        ({"created_after": "2100-01-01T00:00:00Z"}, []),
        ({"created_before": "2020-01-01T00:00:00Z"}, []),
        (
            {"created_after": "2020-01-01T00:00:00+02:00", "created_before": "2100-01-01T00:00:00Z"},
            ["report", "backup"],
        ),
    ],
    ids=str,
)
async def test_filters_narrow_the_list(
    api: Api, listed: dict[str, str], params: dict[str, str], expected: list[str]
) -> None:
    found = (await api.read("/events", **params))["data"]

    assert [listed[event["id"]] for event in found] == expected


async def test_created_after_and_before_cut_between_two_events(api: Api) -> None:
    first, second = await api.create(), await api.create()

    after = await api.read("/events", created_after=first["created_at"])
    before = await api.read("/events", created_before=second["created_at"])

    assert (ids(after["data"]), ids(before["data"])) == ([second["id"]], [first["id"]])


async def test_deleting_twice_or_what_never_was_is_204(api: Api) -> None:
    event = await api.create()

    codes = [(await api.http.delete(f"/events/{event['id']}")).status_code for _ in range(2)]
    unknown = await api.http.delete("/events/01a20ede-64e4-73f8-9798-f88b0cce1a0a")

    assert (codes, unknown.status_code, unknown.content) == ([204, 204], 204, b"")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("PUT", ""),
        ("POST", "/trigger"),
        ("POST", "/secret/rotate"),
        ("GET", "/upcoming"),
    ],
)
async def test_a_deleted_event_is_not_found_any_more(api: Api, method: str, path: str) -> None:
    event = await api.create()
    await api.http.delete(f"/events/{event['id']}")

    answer = await api.http.request(method, f"/events/{event['id']}{path}", json=None if method == "GET" else {})

    assert_problem(answer, 404, "event_not_found")


async def test_upcoming_is_computed_from_an_instant_on_inclusive(api: Api) -> None:
    event = await api.create(
        start_time="2027-03-14T02:30:00",
        timezone="America/New_York",
        schedule="FREQ=DAILY",
        exdates=["2027-03-15T02:30:00"],
        rdates=["2027-03-15T12:00:00Z"],
    )
    path = f"/events/{event['id']}/upcoming"

    found = (await api.read(path, limit=3))["data"]
    later = (await api.read(path, limit=1, **{"from": "2027-03-16T06:30:00Z"}))["data"]

    assert [(each["recurrence_id"], each["scheduled_at"], each["flags"]) for each in found] == [
        ("2027-03-14T02:30:00", "2027-03-14T07:30:00Z", ["dst_adjusted"]),
        ("2027-03-15T08:00:00", "2027-03-15T12:00:00Z", ["rdate"]),
        ("2027-03-16T02:30:00", "2027-03-16T06:30:00Z", []),
    ]
    assert [each["local"] for each in found] == [
        "2027-03-14T03:30:00-04:00",
        "2027-03-15T08:00:00-04:00",
        "2027-03-16T02:30:00-04:00",
    ]
    assert later == found[2:]
    assert event["upcoming"][:3] == found
    assert len((await api.read(path))["data"]) == 10
    assert len((await api.read(path, limit=1000))["data"]) == 1000


async def test_a_trigger_runs_the_event_now_beside_its_schedule(api: Api) -> None:
    event = await api.create(start_time="2027-03-20T00:00:00Z", schedule="FREQ=DAILY", metadata={"a": 1, "b": {"c": 1}})

    answer = await api.http.post(f"/events/{event['id']}/trigger", json={"metadata": {"b": {"d": 2}}})

    assert answer.status_code == 202
    occurrence = answer.json()
    assert (occurrence["event_id"], occurrence["recurrence_id"]) == (event["id"], None)
    assert (occurrence["status"], occurrence["event_version"]) == ("scheduled", 1)
    assert occurrence == await api.read(f"/occurrences/{occurrence['id']}")
    triggered_at = datetime.fromisoformat(occurrence["scheduled_at"])
    assert datetime.fromisoformat(event["created_at"]) <= triggered_at <= utc_now()
    assert {each["recurrence_id"] for each in await api.occurrences_of(event)} == {None, "2027-03-20T00:00:00"}


@pytest.mark.parametrize("body", [None, {}, {"metadata": None}, {"metadata": {}}])
async def test_a_trigger_needs_no_metadata(api: Api, body: Any) -> None:
    event = await api.create()

    assert (await api.http.post(f"/events/{event['id']}/trigger", json=body)).status_code == 202


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"metadata": []}, "/metadata"),
        ({"metadata": {"a": "x" * 65_536}}, "/metadata"),
        ({"when": "now"}, "/when"),
        ({"metadata": {"a": "\0"}}, "/metadata/a"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_a_bad_trigger_is_refused(api: Api, body: Json, pointer: str) -> None:
    event = await api.create()

    answer = await api.http.post(f"/events/{event['id']}/trigger", json=body)

    assert pointers(assert_problem(answer, 422)) == [pointer]
    assert len(await api.occurrences_of(event)) == 1
