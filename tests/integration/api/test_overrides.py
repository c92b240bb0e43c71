"""Changes to single occurrences: how they are answered, and what they do to the deliveries that wait."""

from __future__ import annotations

from time import process_time

import pytest

from tests import costs
from tests.integration.api.client import Api, Json, assert_problem, pointers
from tests.integration.api.overriding import (
    ELSEWHERE,
    FIRST,
    FOURTH,
    SECOND_ONE,
    START,
    THIRD,
    daily,
    override,
    restore,
    waiting,
)


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
