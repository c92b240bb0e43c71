"""Changes to single occurrences when their time comes: what is shown is what fires, and what has fired stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
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
from tests.factories import DAY, HOUR, held_by, utc_now
from tests.integration.api.client import Api, Json, assert_problem, in_seconds
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
