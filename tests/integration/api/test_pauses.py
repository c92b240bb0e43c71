"""What a pause stops, and what becomes of it when the event goes on."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from services.scheduler import pauses
from shared.store.pool import Connection, Pool
from tests.factories import MINUTE, SECOND, utc_now
from tests.integration.api.client import Api, Json, assert_problem, in_seconds, pointers
from tests.integration.waiting import until_past

EVERY_MINUTE = "FREQ=MINUTELY"


async def post(api: Api, event: Json, action: str, **body: object) -> Json:
    answer = await api.http.post(f"/events/{event['id']}/{action}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def minutely(api: Api) -> Json:
    start = utc_now().replace(microsecond=0) - 10 * MINUTE - 30 * SECOND
    return await api.create(start_time=start.isoformat(), schedule=EVERY_MINUTE)


async def stopped_for(conn: Connection, event: Json, length: timedelta) -> None:
    """Let a pause have begun so long ago."""
    await conn.execute("UPDATE events SET stopped_at = now() - %s WHERE id = %s", [length, event["id"]])


async def rows(api: Api, event: Json) -> list[tuple[str, str | None, int]]:
    found = await api.occurrences_of(event)
    return [(o["status"], o["status_reason"], o["missed_count"]) for o in found]


async def test_a_paused_event_has_nothing_waiting_and_no_next_time(api: Api) -> None:
    event = await minutely(api)

    paused = await post(api, event, "pause", note="a deploy")

    assert (paused["status"], paused["status_reason"], paused["version"]) == ("paused", "a deploy", 2)
    assert paused["next_at"] is None
    assert await rows(api, event) == []


async def test_a_resumed_event_goes_on_from_now(api: Api, conn: Connection) -> None:
    event = await minutely(api)
    await post(api, event, "pause")
    await stopped_for(conn, event, 5 * MINUTE)

    resumed = await post(api, event, "resume")

    assert (resumed["status"], resumed["status_reason"], resumed["version"]) == ("active", None, 3)
    assert datetime.fromisoformat(resumed["next_at"]) > utc_now()
    assert await rows(api, event) == [("scheduled", None, 0), ("skipped", "paused", 5)]


async def test_the_latest_is_delivered_when_asked_for(api: Api, conn: Connection) -> None:
    event = await minutely(api)
    await post(api, event, "pause")
    await stopped_for(conn, event, 5 * MINUTE)

    await post(api, event, "resume", **{"from": "latest"})

    assert await rows(api, event) == [("scheduled", None, 0), ("scheduled", None, 4), ("skipped", "paused", 4)]
    cursor = await conn.execute("SELECT catch_up FROM deliveries ORDER BY scheduled_at")
    assert await cursor.fetchall() == [(True,), (False,)]


async def test_all_are_delivered_when_asked_for(api: Api, conn: Connection) -> None:
    event = await minutely(api)
    await post(api, event, "pause")
    await stopped_for(conn, event, 5 * MINUTE)

    await post(api, event, "resume", **{"from": "all"})

    assert await rows(api, event) == [("scheduled", None, 0)] * 6


async def test_a_single_time_that_passed_in_a_pause_is_skipped_and_completes(api: Api, conn: Connection) -> None:
    event = await api.create(start_time=in_seconds(0))
    await until_past(conn, event["start_time"])
    await post(api, event, "pause")
    await stopped_for(conn, event, 5 * MINUTE)

    resumed = await post(api, event, "resume")

    assert resumed["status"] == "completed"
    assert await rows(api, event) == [("skipped", "paused", 1)]


async def test_a_single_time_that_is_to_come_waits_again(api: Api) -> None:
    event = await api.create(start_time=in_seconds(3600))
    await post(api, event, "pause")

    resumed = await post(api, event, "resume")

    assert resumed["next_at"] == event["next_at"]
    assert await rows(api, event) == [("scheduled", None, 0)]


async def test_pausing_twice_changes_the_note_and_keeps_the_beginning(api: Api, conn: Connection) -> None:
    event = await minutely(api)
    await post(api, event, "pause", note="one")
    await stopped_for(conn, event, 5 * MINUTE)

    paused = await post(api, event, "pause", note="two")

    assert paused["status_reason"] == "two"
    await post(api, event, "resume")
    assert ("skipped", "paused", 5) in await rows(api, event)


async def test_a_pause_ends_by_itself(api: Api, conn: Connection, pool: Pool) -> None:
    event = await minutely(api)
    await post(api, event, "pause", until=in_seconds(3600))
    await pauses.run_once(pool)
    assert (await api.read(f"/events/{event['id']}"))["status"] == "paused"

    await conn.execute("UPDATE events SET paused_until = now()")
    await pauses.run_once(pool)

    assert (await api.read(f"/events/{event['id']}"))["status"] == "active"
    assert [status for status, _, _ in await rows(api, event)] == ["scheduled"]


async def test_a_disabled_event_is_revived(api: Api, conn: Connection) -> None:
    event = await minutely(api)
    await conn.execute("UPDATE events SET status = 'disabled', status_reason = 'gone', stopped_at = now()")
    await conn.execute("DELETE FROM deliveries")

    resumed = await post(api, event, "resume")

    assert (resumed["status"], resumed["status_reason"]) == ("active", None)
    assert await rows(api, event) == [("scheduled", None, 0)]


async def test_an_active_event_is_resumed_without_a_change(api: Api) -> None:
    event = await minutely(api)

    assert (await post(api, event, "resume"))["version"] == 1
    assert await rows(api, event) == [("scheduled", None, 0)]


@pytest.mark.parametrize("action", ["pause", "resume"])
async def test_a_completed_event_can_be_neither(api: Api, conn: Connection, action: str) -> None:
    event = await api.create(start_time=in_seconds(3600))
    await conn.execute("UPDATE events SET status = 'completed'")

    answer = await api.http.post(f"/events/{event['id']}/{action}", json={})

    assert_problem(answer, 409)


@pytest.mark.parametrize("action", ["pause", "resume"])
async def test_a_deleted_event_is_not_there(api: Api, action: str) -> None:
    event = await minutely(api)
    await api.http.delete(f"/events/{event['id']}")

    assert_problem(await api.http.post(f"/events/{event['id']}/{action}", json={}), 404, "event_not_found")


async def test_all_that_is_wrong_is_told_at_once(api: Api) -> None:
    event = await minutely(api)

    body = {"until": "2020-01-01T00:00:00Z", "note": 7, "x": 1}
    answer = await api.http.post(f"/events/{event['id']}/pause", json=body)

    assert sorted(pointers(assert_problem(answer, 422))) == ["/note", "/until", "/x"]
    answer = await api.http.post(f"/events/{event['id']}/resume", json={"from": "never"})
    assert pointers(assert_problem(answer, 422)) == ["/from"]


async def test_a_change_of_timing_in_a_pause_counts_when_it_ends(api: Api, conn: Connection) -> None:
    event = await minutely(api)
    await post(api, event, "pause")
    changed = await api.change(event, schedule="FREQ=YEARLY")
    assert (changed["status"], await rows(api, event)) == ("paused", [])
    await stopped_for(conn, event, 5 * MINUTE)

    resumed = await post(api, event, "resume")

    assert datetime.fromisoformat(resumed["next_at"]) > utc_now() + timedelta(days=300)
    assert await rows(api, event) == [("scheduled", None, 0)]
