"""Occurrences that are cancelled before they are made, and made again when they are finished."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest

from services.scheduler import claimer, replays
from services.scheduler.catching_up import Pace
from shared.domain.deliveries import Finished, PlannedDelivery, Retried
from shared.domain.destinations import destination_of
from shared.domain.ids import EventId, OccurrenceId
from shared.store import deliveries, events, planned_deliveries
from shared.store.pool import Connection, Pool
from shared.stream.client import Redis
from tests.factories import MINUTE, held_by
from tests.integration.api.client import Api, Json, assert_problem, in_seconds, pointers
from tests.integration.waiting import until_past, until_somebody_waits

START = "2027-03-22T09:00:00Z"
LATER = {"from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}


async def daily(api: Api, **fields: object) -> Json:
    return await api.create(**{"start_time": START, "schedule": "FREQ=DAILY", **fields})


async def next_of(api: Api, event: Json) -> Json:
    """Return the one occurrence that waits."""
    [waiting] = [o for o in await api.occurrences_of(event) if o["status"] == "scheduled"]
    return waiting


async def cancel(api: Api, occurrence: Json) -> httpx.Response:
    return await api.http.post(f"/occurrences/{occurrence['id']}/cancel")


async def cancelled(api: Api, occurrence: Json) -> Json:
    answer = await cancel(api, occurrence)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def replay(api: Api, occurrence: Json) -> httpx.Response:
    return await api.http.post(f"/occurrences/{occurrence['id']}/replay")


async def replay_all(api: Api, **body: object) -> int:
    answer = await api.http.post("/occurrences/replay", json={"status": "failed", **LATER, **body})
    assert answer.status_code == 202, answer.text
    assert answer.json().keys() == {"matched"}
    return answer.json()["matched"]


async def failed(api: Api, conn: Connection, **fields: object) -> tuple[Json, Json]:
    """Create an event whose only occurrence is a dead letter; return both."""
    event = await api.create(**{"start_time": in_seconds(0), **fields})
    [occurrence] = await api.occurrences_of(event)
    claims = await deliveries.claim_due(conn, limit=100)
    [claim] = [c for c in claims if str(c.occurrence_id) == occurrence["id"]]
    await deliveries.finish(conn, [Finished(claim.occurrence_id, claim.epoch, "failed", "attempts_exhausted", 2)])
    await events.complete_finished(conn, [claim.event_id])
    return event, occurrence


class TestCancelling:
    async def test_a_cancelled_occurrence_is_answered_as_it_is_read(self, api: Api) -> None:
        event = await api.create()
        waiting = await next_of(api, event)

        found = await cancelled(api, waiting)

        assert (found["status"], found["status_reason"], found["next_attempt_at"]) == ("cancelled", "requested", None)
        assert await api.read(f"/occurrences/{waiting['id']}") == found
        assert (await api.read(f"/events/{event['id']}"))["status"] == "completed"

    async def test_the_next_one_leads_the_chain(self, api: Api, conn: Connection) -> None:
        event = await daily(api)

        first = await cancelled(api, await next_of(api, event))

        following = await next_of(api, event)
        assert (first["scheduled_at"], following["scheduled_at"]) == (START, "2027-03-23T09:00:00Z")
        cursor = await conn.execute("SELECT chained FROM deliveries")
        assert await cursor.fetchall() == [(True,)]

    async def test_what_is_shown_to_come_is_what_will_come(self, api: Api) -> None:
        event = await daily(api)

        for _ in range(2):
            await cancelled(api, await next_of(api, event))

        read = await api.read(f"/events/{event['id']}")
        [listed] = (await api.read("/events"))["data"]
        upcoming = (await api.read(f"/events/{event['id']}/upcoming", limit=2))["data"]
        assert read["next_at"] == listed["next_at"] == (await next_of(api, event))["scheduled_at"]
        assert [each["recurrence_id"] for each in upcoming] == ["2027-03-24T09:00:00", "2027-03-25T09:00:00"]
        assert read["upcoming"][:2] == upcoming

    async def test_an_event_with_nothing_left_is_completed(self, api: Api) -> None:
        event = await daily(api, schedule="FREQ=DAILY;COUNT=2")

        await cancelled(api, await next_of(api, event))
        assert (await api.read(f"/events/{event['id']}"))["status"] == "active"
        await cancelled(api, await next_of(api, event))

        assert (await api.read(f"/events/{event['id']}"))["status"] == "completed"

    async def test_a_moved_occurrence_is_cancelled_beside_the_chain(self, api: Api) -> None:
        event = await daily(api)
        path = f"/events/{event['id']}/overrides/2027-03-22T09:00:00"
        await api.http.put(path, json={"scheduled_at": "2027-03-30T12:00:00Z"})
        chained, moved = await api.occurrences_of(event)
        assert moved["scheduled_at"] == "2027-03-30T12:00:00Z"

        await cancelled(api, moved)

        assert (await next_of(api, event))["id"] == chained["id"]
        upcoming = (await api.read(f"/events/{event['id']}/upcoming", limit=20))["data"]
        assert moved["id"] not in [each["occurrence_id"] for each in upcoming]

    async def test_it_stays_cancelled_when_the_event_changes(self, api: Api) -> None:
        event = await daily(api)
        await cancelled(api, await next_of(api, event))

        await api.change(event, schedule="FREQ=DAILY;COUNT=9")

        assert (await next_of(api, event))["scheduled_at"] == "2027-03-23T09:00:00Z"

    async def test_one_cancelled_before_a_pause_leaves_the_skipped_ones_their_record(
        self, api: Api, conn: Connection
    ) -> None:
        event = await api.create(start_time=in_seconds(-630), schedule="FREQ=MINUTELY")
        [first] = (await api.read(f"/events/{event['id']}/upcoming", limit=1, **{"from": in_seconds(-300)}))["data"]
        planned = PlannedDelivery(
            occurrence_id=OccurrenceId(UUID(first["occurrence_id"])),
            event_id=EventId(UUID(event["id"])),
            event_version=1,
            scheduled_at=datetime.fromisoformat(first["scheduled_at"]),
            recurrence_id=first["recurrence_id"],
            destination=destination_of(event["webhook_url"]),
            chained=False,
        )
        await planned_deliveries.insert(conn, [planned])
        await cancelled(api, {"id": first["occurrence_id"]})
        await api.http.post(f"/events/{event['id']}/pause")
        await conn.execute("UPDATE events SET stopped_at = now() - interval '5 minutes' WHERE id = %s", [event["id"]])

        await api.http.post(f"/events/{event['id']}/resume")

        found = [(o["status"], o["missed_count"]) for o in await api.occurrences_of(event)]
        assert found == [("scheduled", 0), ("skipped", 4), ("cancelled", 0)]

    async def test_a_retrying_one_is_cancelled_but_not_while_its_attempt_runs(self, api: Api, conn: Connection) -> None:
        event = await api.create(start_time=in_seconds(0))
        [occurrence] = await api.occurrences_of(event)
        await until_past(conn, occurrence["scheduled_at"])
        [claim] = await deliveries.claim_due(conn, limit=1)
        assert len(await deliveries.begin(conn, [held_by(claim)])) == 1

        assert_problem(await cancel(api, occurrence), 409, "attempt_begun")

        await deliveries.retry(conn, [Retried(claim.occurrence_id, claim.epoch, MINUTE)])
        found = await cancelled(api, occurrence)
        assert (found["status"], found["attempt_count"]) == ("cancelled", 1)

    async def test_a_finished_one_is_a_conflict(self, api: Api) -> None:
        waiting = await next_of(api, await api.create())
        await cancelled(api, waiting)

        assert_problem(await cancel(api, waiting), 409, "occurrence_finished")

    async def test_one_that_is_not_there_yet_is_not_found(self, api: Api) -> None:
        event = await daily(api)

        for unknown in (event["upcoming"][1]["occurrence_id"], event["id"], "nope"):
            assert_problem(await cancel(api, {"id": unknown}), 404, "occurrence_not_found")

    async def test_a_claim_that_meets_a_cancel_leaves_the_chain_to_it(self, api: Api, pool: Pool) -> None:
        event = await api.create(start_time=in_seconds(-600), schedule="FREQ=MINUTELY")
        waiting = await next_of(api, event)
        now = datetime.fromisoformat(waiting["scheduled_at"])

        async with pool.connection() as scheduler:
            async with scheduler.transaction():
                [claim] = await deliveries.claim_due(scheduler, limit=1, now=now)
                cancelling = asyncio.create_task(cancel(api, waiting))
                await until_somebody_waits(scheduler)
                assert await events.to_plan(scheduler, [claim.event_id]) == {}
                await deliveries.unclaim(scheduler, [claim.occurrence_id])
            assert (await cancelling).status_code == 200

        following = await next_of(api, event)
        assert following["scheduled_at"] > waiting["scheduled_at"]
        assert len(await api.occurrences_of(event)) == 2

    async def test_a_claimed_one_is_cancelled_and_its_successor_stays(
        self, api: Api, pool: Pool, redis: Redis, conn: Connection
    ) -> None:
        event = await daily(api)
        waiting = await next_of(api, event)
        at = datetime.now(UTC)
        await conn.execute("UPDATE deliveries SET next_at = %s, due_at = %s, scheduled_at = %s", [at, at, at])
        await claimer.run_once(pool, redis, Pace())

        await cancelled(api, waiting)

        assert len([o for o in await api.occurrences_of(event) if o["status"] == "scheduled"]) == 1
        assert (await api.read(f"/events/{event['id']}"))["status"] == "active"


class TestReplaying:
    async def test_a_finished_occurrence_is_delivered_again_under_its_id(self, api: Api, conn: Connection) -> None:
        event, occurrence = await failed(api, conn)

        answer = await replay(api, occurrence)

        assert answer.status_code == 202, answer.text
        found = answer.json()
        assert (found["id"], found["status"], found["attempt_count"]) == (occurrence["id"], "scheduled", 2)
        assert found["created_at"] == occurrence["created_at"]
        assert await api.occurrences_of(event) == [found]

    async def test_an_unfinished_one_is_a_conflict(self, api: Api, conn: Connection) -> None:
        _, occurrence = await failed(api, conn)
        assert (await replay(api, occurrence)).status_code == 202

        assert_problem(await replay(api, occurrence), 409, "occurrence_unfinished")

    async def test_of_two_at_once_one_is_accepted(self, api: Api, conn: Connection) -> None:
        event, occurrence = await failed(api, conn)

        answers = await asyncio.gather(*(replay(api, occurrence) for _ in range(4)))

        assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409]
        assert len(await api.occurrences_of(event)) == 1

    async def test_the_current_version_is_sent_where_none_was_before(self, api: Api) -> None:
        event = await api.create()
        waiting = await next_of(api, event)
        await cancelled(api, waiting)
        await api.change(event, description="other")

        assert (await replay(api, waiting)).json()["event_version"] == 2

    async def test_one_cancelled_before_its_time_is_to_come_again(self, api: Api) -> None:
        event = await api.create()
        waiting = await next_of(api, event)
        await cancelled(api, waiting)

        replayed = (await replay(api, waiting)).json()

        assert (replayed["status"], replayed["next_attempt_at"]) == ("scheduled", waiting["scheduled_at"])
        read = await api.read(f"/events/{event['id']}")
        assert (read["status"], read["next_at"]) == ("active", waiting["scheduled_at"])

    async def test_the_version_that_was_sent_is_sent_again(self, api: Api, conn: Connection) -> None:
        event, occurrence = await failed(api, conn)
        await api.change(event, description="other")

        assert (await replay(api, occurrence)).json()["event_version"] == 1

    @pytest.mark.parametrize("status", ["disabled", "deleted"])
    async def test_a_stopped_event_replays_nothing(self, api: Api, conn: Connection, status: str) -> None:
        event, occurrence = await failed(api, conn)
        if status == "deleted":
            await api.http.delete(f"/events/{event['id']}")
        else:
            await events.disable(conn, [EventId(UUID(event["id"]))], reason="gone")

        assert_problem(await replay(api, occurrence), 409, f"event_{status}")
        assert (await api.read(f"/occurrences/{occurrence['id']}"))["status"] == "failed"

    async def test_a_paused_event_replays(self, api: Api) -> None:
        event = await daily(api)
        waiting = await next_of(api, event)
        await cancelled(api, waiting)
        await api.http.post(f"/events/{event['id']}/pause")

        assert (await replay(api, waiting)).status_code == 202

    async def test_a_replay_that_is_deleted_with_its_event_has_a_record(self, api: Api, conn: Connection) -> None:
        event, occurrence = await failed(api, conn)
        await replay(api, occurrence)

        await api.http.delete(f"/events/{event['id']}")

        found = await api.read(f"/occurrences/{occurrence['id']}")
        assert (found["status"], found["status_reason"], found["attempt_count"]) == ("cancelled", "event_deleted", 2)


class TestReplayingMany:
    async def test_those_that_match_are_counted_and_then_replayed(self, api: Api, conn: Connection, pool: Pool) -> None:
        _, occurrence = await failed(api, conn, tags=["a"])
        _, other = await failed(api, conn, tags=["b"])

        assert await replay_all(api, tags=["a"]) == 1

        await replays.run_once(pool, asyncio.Event())
        assert (await api.read(f"/occurrences/{occurrence['id']}"))["status"] == "scheduled"
        assert (await api.read(f"/occurrences/{other['id']}"))["status"] == "failed"

    async def test_a_dry_run_only_counts(self, api: Api, conn: Connection, pool: Pool) -> None:
        event, occurrence = await failed(api, conn)

        assert await replay_all(api, dry_run=True, event_id=event["id"]) == 1

        await replays.run_once(pool, asyncio.Event())
        assert (await api.read(f"/occurrences/{occurrence['id']}"))["status"] == "failed"

    async def test_what_is_out_of_scope_is_neither_counted_nor_replayed(
        self, api: Api, conn: Connection, pool: Pool
    ) -> None:
        event, occurrence = await failed(api, conn, tags=["system:backup"])
        _, mine = await failed(api, conn, tags=["user:alice"])
        alice = await api.limited_to("write", "user:*")

        assert await replay_all(alice) == 1
        assert await replay_all(alice, event_id=event["id"]) == 0

        for _ in range(2):
            await replays.run_once(pool, asyncio.Event())
        assert (await api.read(f"/occurrences/{occurrence['id']}"))["status"] == "failed"
        assert (await api.read(f"/occurrences/{mine['id']}"))["status"] == "scheduled"

    @pytest.mark.parametrize("status", ["scheduled", "queued", "retrying", "lost", None])
    async def test_only_finished_ones_can_be_asked_for(self, api: Api, status: str | None) -> None:
        answer = await api.http.post("/occurrences/replay", json={"status": status, **LATER})

        [error] = assert_problem(answer, 422, "validation_failed")
        assert (error["pointer"], error["example"]) == ("/status", "failed")
        assert "delivered, failed, expired" in error["hint"]

    async def test_all_that_is_wrong_is_said_at_once(self, api: Api) -> None:
        body = {"event_id": "nope", "tags": "a", "from": "today", "dry_run": "no", "limit": 1}
        answer = await api.http.post("/occurrences/replay", json=body)

        errors = assert_problem(answer, 422)
        assert sorted(pointers(errors)) == ["/dry_run", "/event_id", "/from", "/limit", "/status", "/tags", "/to"]

    async def test_a_span_that_ends_before_it_begins_is_refused(self, api: Api) -> None:
        body = {"status": "failed", "from": LATER["to"], "to": LATER["from"]}

        assert pointers(assert_problem(await api.http.post("/occurrences/replay", json=body), 422)) == ["/to"]
