"""Changes to single occurrences: what they do to the deliveries that wait, and that what is shown is what fires."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import process_time
from uuid import UUID

import pytest

from shared import planning
from shared.domain import epochs
from shared.domain.deliveries import Finished
from shared.domain.ids import EventId
from shared.domain.overrides import StoredOverride
from shared.store import deliveries, events, overrides
from shared.store.pool import Connection
from shared.store.sight import EVERYTHING
from tests import costs
from tests.factories import DAY, HOUR, held_by, utc_now
from tests.integration.api.client import Api, Json, assert_problem, in_seconds, pointers

START = "2027-03-22T09:00:00Z"
FIRST, SECOND_ONE, THIRD, FOURTH = (f"2027-03-{day}T09:00:00" for day in (22, 23, 24, 25))
ELSEWHERE = "https://elsewhere.example/hook"


async def daily(api: Api, **fields: object) -> Json:
    return await api.create(**{"start_time": START, "schedule": "FREQ=DAILY", "metadata": {"a": 1, "b": 1}, **fields})


async def override(api: Api, event: Json, recurrence_id: str, **change: object) -> Json:
    answer = await api.http.put(f"/events/{event['id']}/overrides/{recurrence_id}", json=change)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def restore(api: Api, event: Json, recurrence_id: str) -> None:
    answer = await api.http.delete(f"/events/{event['id']}/overrides/{recurrence_id}")
    assert answer.status_code == 204, answer.text


async def waiting(api: Api, event: Json) -> dict[str, str]:
    """Return the times of the deliveries that wait, by recurrence_id, and make sure that they are what is shown."""
    found = [each for each in await api.occurrences_of(event) if each["status"] == "scheduled"]
    shown = (await api.read(f"/events/{event['id']}/upcoming", limit=1000))["data"]
    times = {each["occurrence_id"]: each["scheduled_at"] for each in shown}
    for each in found:
        assert times[each["id"]] == each["scheduled_at"]
    read = await api.read(f"/events/{event['id']}")
    assert read["next_at"] == (min(each["scheduled_at"] for each in found) if found else None)
    return {each["recurrence_id"]: each["scheduled_at"] for each in found}


async def fired(conn: Connection, number: int) -> list[tuple[str, datetime]]:
    """Let time pass as schedulers see it and return the first occurrences that come due, by id and time."""
    found: list[tuple[str, datetime]] = []
    while len(found) < number:
        cursor = await conn.execute("SELECT min(next_at) FROM deliveries")
        row = await cursor.fetchone()
        if row is None or row[0] is None:
            break
        async with conn.transaction():
            claims = await deliveries.claim_due(conn, now=row[0], horizon=timedelta(0), limit=100)
            first = [c for c in claims if c.chained and epochs.is_first_claim(c.epoch)]
            plans = await events.to_plan(conn, [c.event_id for c in first])
            wanted = [(plan, c.scheduled_at) for c in first if (plan := plans[c.event_id]) is not None]
            await planning.plan_next(conn, wanted)
        found += sorted((str(c.occurrence_id), c.scheduled_at) for c in claims)
        await deliveries.finish(conn, [Finished(c.occurrence_id, c.epoch, "delivered", None, 1) for c in claims])
    return found[:number]


async def test_an_override_is_answered_as_it_is_listed(api: Api) -> None:
    event = await daily(api)

    put = await override(
        api, event, SECOND_ONE, scheduled_at="2027-03-23T12:00:00+01:00", metadata={"b": 2}, webhook_url=ELSEWHERE
    )

    assert put == {
        "recurrence_id": SECOND_ONE,
        "original_at": "2027-03-23T09:00:00Z",
        "excluded": False,
        "scheduled_at": "2027-03-23T11:00:00Z",
        "metadata": {"b": 2},
        "webhook_url": ELSEWHERE,
        "created_at": put["created_at"],
    }
    assert await api.read(f"/events/{event['id']}/overrides") == {"data": [put], "next_cursor": None}
    assert (await api.http.put(f"/events/{event['id']}/overrides/{SECOND_ONE}", json=put)).json() == put


async def test_overrides_are_listed_newest_first_page_by_page(api: Api) -> None:
    event = await daily(api)
    for recurrence_id in (SECOND_ONE, FIRST, THIRD):
        await override(api, event, recurrence_id, excluded=True)

    pages = await api.all_pages(f"/events/{event['id']}/overrides", limit=2)

    assert [[each["recurrence_id"] for each in page] for page in pages] == [[THIRD, FIRST], [SECOND_ONE]]


async def test_an_instant_in_any_zone_names_an_occurrence(api: Api) -> None:
    event = await daily(api, timezone="America/New_York")

    put = await override(api, event, "2027-03-23T10:00:00+01:00", excluded=True)

    assert put["recurrence_id"] == "2027-03-23T05:00:00"


async def test_a_local_time_is_read_in_the_events_zone(api: Api) -> None:
    event = await daily(api, timezone="America/New_York")

    put = await override(api, event, "2027-03-23T05:00:00", scheduled_at="2027-03-23T06:00:00")

    assert put["scheduled_at"] == "2027-03-23T10:00:00Z"


async def test_excluding_the_next_occurrence_plans_the_one_after_it(api: Api) -> None:
    event = await daily(api)

    await override(api, event, FIRST, excluded=True)

    assert await waiting(api, event) == {SECOND_ONE: "2027-03-23T09:00:00Z"}


async def test_excluding_a_later_occurrence_leaves_the_next_alone(api: Api) -> None:
    event = await daily(api)
    before = await waiting(api, event)

    await override(api, event, THIRD, excluded=True)

    assert await waiting(api, event) == before
    shown = (await api.read(f"/events/{event['id']}"))["upcoming"]
    assert THIRD not in [each["recurrence_id"] for each in shown]


async def excluded(api: Api, event: Json) -> list[tuple[str, str, str]]:
    found = await api.read(f"/events/{event['id']}/occurrences", status="skipped")
    return [(each["recurrence_id"], each["scheduled_at"], each["status_reason"]) for each in found["data"]]


async def test_an_excluded_occurrence_has_a_record_until_it_is_let_back(api: Api) -> None:
    event = await daily(api)

    await override(api, event, FIRST, excluded=True)
    await override(api, event, THIRD, excluded=True)
    await override(api, event, THIRD, excluded=True)

    assert await excluded(api, event) == [(THIRD, "2027-03-24T09:00:00Z", "excluded"), (FIRST, START, "excluded")]
    await override(api, event, FIRST, metadata={"b": 2})
    await restore(api, event, THIRD)
    assert await excluded(api, event) == []
    assert await waiting(api, event) == {FIRST: START}


async def test_a_paused_event_records_what_is_excluded(api: Api) -> None:
    event = await daily(api)
    await api.http.post(f"/events/{event['id']}/pause", json={})

    await override(api, event, FIRST, excluded=True)

    assert [each[0] for each in await excluded(api, event)] == [FIRST]
    await api.http.post(f"/events/{event['id']}/resume", json={})
    assert await waiting(api, event) == {SECOND_ONE: "2027-03-23T09:00:00Z"}


async def test_the_records_of_what_is_excluded_follow_a_change_of_the_timing(api: Api) -> None:
    event = await daily(api)
    await override(api, event, SECOND_ONE, excluded=True)

    await api.change(event, schedule="FREQ=DAILY;INTERVAL=2")
    assert await excluded(api, event) == []

    await api.change(event, schedule="FREQ=DAILY")
    assert [each[0] for each in await excluded(api, event)] == [SECOND_ONE]


async def test_moving_the_next_occurrence_later_lets_both_wait(api: Api) -> None:
    event = await daily(api)

    await override(api, event, FIRST, scheduled_at="2027-03-24T10:00:00Z")

    assert await waiting(api, event) == {FIRST: "2027-03-24T10:00:00Z", SECOND_ONE: "2027-03-23T09:00:00Z"}
    shown = (await api.read(f"/events/{event['id']}"))["upcoming"]
    assert [(each["recurrence_id"], each["flags"]) for each in shown[:3]] == [
        (SECOND_ONE, []), (THIRD, []), (FIRST, ["moved"]),
    ]  # fmt: skip
    assert shown[2]["occurrence_id"] == event["upcoming"][0]["occurrence_id"]


async def test_moving_a_later_occurrence_before_the_next_makes_it_the_next(api: Api) -> None:
    event = await daily(api)

    await override(api, event, FOURTH, scheduled_at="2027-03-21T00:00:00Z")

    assert await waiting(api, event) == {FIRST: START, FOURTH: "2027-03-21T00:00:00Z"}
    assert (await api.read(f"/events/{event['id']}"))["next_at"] == "2027-03-21T00:00:00Z"


async def test_restoring_pulls_the_chain_back(api: Api) -> None:
    event = await daily(api)
    await override(api, event, FIRST, excluded=True)
    await override(api, event, SECOND_ONE, scheduled_at="2027-03-28T00:00:00Z")
    assert await waiting(api, event) == {THIRD: "2027-03-24T09:00:00Z", SECOND_ONE: "2027-03-28T00:00:00Z"}

    await restore(api, event, SECOND_ONE)
    assert await waiting(api, event) == {SECOND_ONE: "2027-03-23T09:00:00Z"}
    await restore(api, event, FIRST)
    assert await waiting(api, event) == {FIRST: START}
    await restore(api, event, FIRST)

    assert await api.read(f"/events/{event['id']}/overrides") == {"data": [], "next_cursor": None}


async def test_an_override_replaces_the_one_before(api: Api) -> None:
    event = await daily(api)
    await override(api, event, FIRST, scheduled_at="2027-03-28T00:00:00Z", metadata={"b": 2})

    put = await override(api, event, FIRST, webhook_url=ELSEWHERE)

    assert (put["scheduled_at"], put["metadata"]) == (None, None)
    assert await waiting(api, event) == {FIRST: START}


async def test_a_moved_occurrence_survives_a_rename(api: Api) -> None:
    event = await daily(api)
    await override(api, event, SECOND_ONE, scheduled_at="2027-03-28T00:00:00Z")
    before = await waiting(api, event)

    changed = await api.change(event, name="New")

    assert await waiting(api, event) == before
    assert changed["warnings"] == []


async def test_a_change_of_timing_keeps_moves_and_reports_orphans(api: Api) -> None:
    event = await daily(api)
    await override(api, event, SECOND_ONE, scheduled_at="2027-03-28T00:00:00Z")
    await override(api, event, THIRD, scheduled_at="2027-03-29T00:00:00Z")

    changed = await api.change(event, schedule="FREQ=DAILY;INTERVAL=2")

    assert await waiting(api, event) == {FIRST: START, THIRD: "2027-03-29T00:00:00Z"}
    [warning] = changed["warnings"]
    assert SECOND_ONE in warning
    assert len((await api.read(f"/events/{event['id']}/overrides"))["data"]) == 2
    back = await api.change(event, schedule="FREQ=DAILY")
    assert back["warnings"] == []
    assert (await waiting(api, event))[SECOND_ONE] == "2027-03-28T00:00:00Z"


async def test_an_orphan_can_be_dropped(api: Api) -> None:
    event = await daily(api)
    await override(api, event, SECOND_ONE, scheduled_at="2027-03-28T00:00:00Z")
    await api.change(event, schedule="FREQ=DAILY;INTERVAL=2")

    await restore(api, event, SECOND_ONE)

    assert (await api.read(f"/events/{event['id']}"))["warnings"] == []


async def test_an_id_that_matches_nothing_is_answered_with_the_nearest_three(api: Api) -> None:
    event = await daily(api, exdates=["2027-03-24T09:00:00Z"])

    answer = await api.http.put(f"/events/{event['id']}/overrides/{THIRD}", json={"excluded": True})

    [error] = assert_problem(answer, 422)
    assert error["pointer"] == "recurrence_id"
    assert all(near in error["hint"] for near in (SECOND_ONE, FOURTH))
    assert error["hint"].count("T09:00:00") == 3


@pytest.mark.parametrize(
    "text", ["x", "%00", "9998-01-01T00:00:00", "1900-01-01", "%ff", "2027-03-22T09:00:00%2B99:00"]
)
async def test_a_rule_that_ended_long_ago_is_answered_at_once(api: Api, text: str) -> None:
    event = await daily(api, schedule="FREQ=MINUTELY;UNTIL=20401231T000000Z")

    begun = process_time()
    put = await api.http.put(f"/events/{event['id']}/overrides/{text}", json={"excluded": True})
    assert costs.is_cheap(process_time() - begun, bound=3)
    dropped = await api.http.delete(f"/events/{event['id']}/overrides/{text}")

    assert_problem(put, 422)
    assert dropped.status_code == 204


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, [""]),
        ({"excluded": False}, [""]),
        ({"excluded": True, "metadata": {}}, ["/metadata"]),
        ({"scheduled_at": "2020-01-01T00:00:00Z"}, ["/scheduled_at"]),
        ({"scheduled_at": "soon"}, ["/scheduled_at"]),
        ({"webhook_url": "http://127.0.0.1/", "nope": 1}, ["/nope", "/webhook_url"]),
        ({"metadata": {"a": "x" * 70_000}}, ["/metadata"]),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_a_bad_override_is_answered_with_all_of_its_errors(api: Api, body: Json, expected: list[str]) -> None:
    event = await daily(api)

    answer = await api.http.put(f"/events/{event['id']}/overrides/{FIRST}", json=body)

    assert sorted(pointers(assert_problem(answer, 422))) == expected
    assert await waiting(api, event) == {FIRST: START}


async def test_what_is_due_already_cannot_be_changed(api: Api, conn: Connection) -> None:
    once = await api.create(start_time=in_seconds(-1))
    recurring = await api.create(start_time=in_seconds(-90_000), schedule="FREQ=DAILY")
    paths = [f"/events/{event['id']}/overrides/{await first_id(api, event)}" for event in (once, recurring)]

    for path in paths:
        for change in ({"excluded": True}, {"scheduled_at": START}, {"metadata": {"a": 1}}):
            assert_problem(await api.http.put(path, json=change), 409, "occurrence_due")
        assert (await api.http.delete(path)).status_code == 204

    assert len(await deliveries.claim_due(conn, limit=10)) == 1


async def first_id(api: Api, event: Json) -> str:
    found = await api.read(f"/events/{event['id']}/upcoming", **{"from": "2020-01-01T00:00:00Z"})
    return found["data"][0]["recurrence_id"]


async def test_a_moved_occurrence_whose_own_time_has_passed_can_be_moved_on_but_not_back(
    api: Api, conn: Connection
) -> None:
    event = await api.create(start_time=in_seconds(-3600), schedule="FREQ=DAILY")
    recurrence_id = await first_id(api, event)
    await moved_before_its_time(conn, event, recurrence_id, to=datetime(2027, 3, 28, tzinfo=UTC))
    path = f"/events/{event['id']}/overrides/{recurrence_id}"

    assert_problem(await api.http.delete(path), 409, "occurrence_due")
    assert_problem(await api.http.put(path, json={"metadata": {}}), 409, "occurrence_due")
    await override(api, event, recurrence_id, scheduled_at="2027-03-29T00:00:00Z")
    assert (await waiting(api, event))[recurrence_id] == "2027-03-29T00:00:00Z"
    await override(api, event, recurrence_id, excluded=True)

    assert list(await waiting(api, event)) == [event["upcoming"][0]["recurrence_id"]]


async def moved_before_its_time(conn: Connection, event: Json, recurrence_id: str, *, to: datetime) -> None:
    """Let an occurrence whose time has passed have been moved before that."""
    id_, original_at = EventId(UUID(event["id"])), datetime.fromisoformat(event["start_time"])
    moved = StoredOverride(
        recurrence_id=recurrence_id, original_at=original_at, scheduled_at=to, created_at=original_at - HOUR
    )
    await overrides.put(conn, id_, moved)
    stored = await events.get(conn, id_, sight=EVERYTHING)
    await planning.plan_moved(conn, planning.plan_of(stored), after=utc_now())


async def let_it_come(conn: Connection) -> None:
    """Let the time of what waits within the next hours come now, also by what was overridden."""
    await conn.execute("""
        UPDATE deliveries SET next_at = now(), due_at = now(), scheduled_at = now()
         WHERE scheduled_at < now() + interval '1 day'
    """)
    await conn.execute("UPDATE event_overrides SET scheduled_at = now() WHERE scheduled_at < now() + interval '1 day'")


async def test_what_was_moved_earlier_and_has_fired_stays_as_it_was(api: Api, conn: Connection) -> None:
    event = await daily(api)
    await override(api, event, THIRD, scheduled_at=in_seconds(3600))
    await let_it_come(conn)
    [claim] = await deliveries.claim_due(conn, limit=10)
    [due] = await deliveries.begin(conn, [held_by(claim)])
    await deliveries.finish(conn, [Finished(due.occurrence_id, due.epoch, "delivered", None, 1)])

    path = f"/events/{event['id']}/overrides/{THIRD}"
    assert_problem(await api.http.put(path, json={"excluded": True}), 409, "occurrence_due")
    assert_problem(await api.http.delete(path), 409, "occurrence_due")

    shown = (await api.read(f"/events/{event['id']}"))["upcoming"][:3]
    assert [each["recurrence_id"] for each in shown] == [FIRST, SECOND_ONE, FOURTH]
    assert [id_ for id_, _ in await fired(conn, 3)] == [each["occurrence_id"] for each in shown]


async def test_metadata_and_address_of_an_override_are_sent(api: Api, conn: Connection) -> None:
    event = await api.create(in_="PT1H", metadata={"a": 1, "b": 1})
    recurrence_id = event["upcoming"][0]["recurrence_id"]
    await override(api, event, recurrence_id, metadata={"b": 1e25}, webhook_url=ELSEWHERE)
    await let_it_come(conn)
    [claim] = await deliveries.claim_due(conn, limit=10)

    [due] = await deliveries.begin(conn, [held_by(claim)])

    assert (due.webhook_url, due.metadata) == (ELSEWHERE, {"b": 1e25})


async def test_a_one_time_event_can_be_moved_and_left_out_and_lives_again(api: Api) -> None:
    event = await api.create(start_time=START)
    await override(api, event, FIRST, scheduled_at="2027-03-28T00:00:00Z")
    assert await waiting(api, event) == {FIRST: "2027-03-28T00:00:00Z"}

    await override(api, event, FIRST, excluded=True)
    over = await api.read(f"/events/{event['id']}")
    await restore(api, event, FIRST)
    again = await api.read(f"/events/{event['id']}")

    assert (over["status"], over["next_at"], over["upcoming"]) == ("completed", None, [])
    assert (again["status"], again["next_at"]) == ("active", START)
    assert await waiting(api, event) == {FIRST: START}


async def test_overrides_do_not_raise_the_version(api: Api) -> None:
    event = await daily(api)

    await override(api, event, FIRST, excluded=True)

    assert (await api.read(f"/events/{event['id']}"))["version"] == 1


async def test_a_move_of_what_is_claimed_ahead_of_its_time_takes_it_back(api: Api, conn: Connection) -> None:
    event = await daily(api)
    async with conn.transaction():
        [claim] = await deliveries.claim_due(conn, limit=10, horizon=2000 * DAY)
        plans = await events.to_plan(conn, [claim.event_id])
        plan = plans[claim.event_id]
        assert plan is not None
        await planning.plan_next(conn, [(plan, claim.scheduled_at)])

    await override(api, event, FIRST, scheduled_at="2027-03-28T00:00:00Z")

    assert await waiting(api, event) == {FIRST: "2027-03-28T00:00:00Z", SECOND_ONE: "2027-03-23T09:00:00Z"}
    assert await deliveries.release(conn, [claim]) == set()


EXCLUDE: Json = {"excluded": True}
SHAPES: list[list[tuple[str, Json | None]]] = [
    [],
    [(FIRST, EXCLUDE)],
    [(SECOND_ONE, EXCLUDE), (THIRD, EXCLUDE)],
    [(FIRST, {"scheduled_at": "2027-03-22T10:00:00Z"})],
    [(FIRST, {"scheduled_at": "2027-03-25T10:00:00Z"})],
    [(THIRD, {"scheduled_at": "2027-03-21T10:00:00Z"})],
    [(THIRD, {"scheduled_at": "2027-03-22T10:00:00Z"})],
    [(SECOND_ONE, {"scheduled_at": "2027-03-24T09:00:00Z"})],
    [(FIRST, {"scheduled_at": "2027-03-24T09:00:00Z"}), (SECOND_ONE, {"scheduled_at": "2027-03-24T09:00:00Z"})],
    [(FIRST, EXCLUDE), (FIRST, None)],
    [(FIRST, {"scheduled_at": "2027-03-23T09:00:00Z"}), (FIRST, EXCLUDE)],
    [(FIRST, EXCLUDE), (SECOND_ONE, EXCLUDE), (FIRST, {"scheduled_at": "2027-03-23T09:00:00Z"}), (SECOND_ONE, None)],
    [(FIRST, {"scheduled_at": "2027-03-26T09:00:00Z"}), (THIRD, {"metadata": {"x": 1}}), (FOURTH, EXCLUDE)],
]


@pytest.mark.parametrize("schedule", ["FREQ=DAILY", "FREQ=DAILY;COUNT=4"])
@pytest.mark.parametrize("shape", SHAPES, ids=range(len(SHAPES)))
async def test_what_is_shown_is_what_fires(
    api: Api, conn: Connection, shape: list[tuple[str, Json | None]], schedule: str
) -> None:
    event = await daily(api, schedule=schedule)
    for recurrence_id, change in shape:
        if change is None:
            await restore(api, event, recurrence_id)
        else:
            await override(api, event, recurrence_id, **change)
        await waiting(api, event)

    shown = (await api.read(f"/events/{event['id']}/upcoming", limit=6))["data"]
    found = await fired(conn, 6)

    expected = [(each["occurrence_id"], datetime.fromisoformat(each["scheduled_at"])) for each in shown]
    assert sorted(found, key=by_time) == sorted(expected, key=by_time)
    assert [at for _, at in found] == sorted(at for _, at in expected)


def by_time(pair: tuple[str, datetime]) -> tuple[datetime, str]:
    return pair[1].astimezone(UTC), pair[0]


async def test_two_at_one_instant_both_fire(api: Api, conn: Connection) -> None:
    event = await daily(api)
    await override(api, event, FIRST, scheduled_at="2027-03-23T09:00:00Z")

    found = await fired(conn, 2)

    assert {at for _, at in found} == {datetime(2027, 3, 23, 9, tzinfo=UTC)}
    assert len({id_ for id_, _ in found}) == 2
