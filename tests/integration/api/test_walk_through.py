"""The way of one weekly event through the API, as the README walks it."""

from __future__ import annotations

from tests.integration.api.client import Api, as_read, assert_problem, ids

DAILY_BACKUP = {
    "name": "Daily Backup",
    "description": "Backs up the database.",
    "start_time": "2027-03-22T00:00:00Z",
    "schedule": "FREQ=WEEKLY;BYDAY=MO,WE,FR;INTERVAL=1",
    "tags": ["system:backup"],
    "metadata": {"database": "main"},
    "webhook_url": "https://receiver.example/backup",
}
CHANGE = {
    "name": "Weekly Backup",
    "description": "Backs up twice a week.",
    "schedule": "FREQ=WEEKLY;BYDAY=TU,TH;INTERVAL=1",
    "tags": ["system:backup", "weekly"],
}


async def test_an_event_is_created_read_changed_listed_and_deleted(api: Api) -> None:
    alice = await api.limited_to("read_write", "system:*")

    created = await alice.http.post("/events", json=DAILY_BACKUP)
    assert created.status_code == 201
    event = created.json()
    path = f"/events/{event['id']}"
    assert created.headers["location"] == path
    assert created.headers["etag"] == '"1"'
    assert event["schedule"] == "FREQ=WEEKLY;BYDAY=MO,WE,FR"
    assert [each["scheduled_at"] for each in event["upcoming"][:3]] == [
        "2027-03-22T00:00:00Z",
        "2027-03-24T00:00:00Z",
        "2027-03-26T00:00:00Z",
    ]
    assert (event["status"], event["version"], event["created_by"]) == ("active", 1, "alice")
    assert event["next_at"] == "2027-03-22T00:00:00Z"
    assert await alice.read(path) == as_read(event)

    changed = await alice.http.put(path, json=CHANGE)
    assert changed.status_code == 200
    assert changed.headers["etag"] == '"2"'
    after = changed.json()
    assert [after[name] for name in ("name", "description", "tags")] == [
        "Weekly Backup",
        "Backs up twice a week.",
        ["system:backup", "weekly"],
    ]
    assert after["schedule"] == "FREQ=WEEKLY;BYDAY=TU,TH"
    assert after["next_at"] == "2027-03-23T00:00:00Z"
    kept = ("start_time", "timezone", "metadata", "webhook_url", "method", "headers", "retry", "created_at")
    assert {name: after[name] for name in kept} == {name: event[name] for name in kept}

    assert ids((await alice.read("/events", tags="system:backup,weekly"))["data"]) == [event["id"]]
    [occurrence] = (await alice.read(f"{path}/occurrences"))["data"]
    assert occurrence["scheduled_at"] == "2027-03-23T00:00:00Z"
    assert (occurrence["status"], occurrence["event_version"]) == ("scheduled", 2)
    assert occurrence["id"] == after["upcoming"][0]["occurrence_id"]

    assert (await alice.http.delete(path)).status_code == 204
    assert_problem(await alice.http.get(path), 404, "event_not_found")
    assert (await alice.read("/events"))["data"] == []
    [cancelled] = (await alice.read("/occurrences", event_id=event["id"]))["data"]
    assert (cancelled["status"], cancelled["status_reason"]) == ("cancelled", "event_deleted")
    assert ids((await alice.read("/events", status="deleted"))["data"]) == [event["id"]]
