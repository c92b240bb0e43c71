from __future__ import annotations

import msgspec

from shared import planning
from shared.domain.events import Event
from shared.domain.ids import occurrence_id_of
from shared.domain.overrides import Override, StoredOverride
from shared.store import deliveries, events, overrides, planned_deliveries
from shared.store.pool import Connection
from shared.store.sight import EVERYTHING
from tests.factories import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    a_waiting,
    an_event,
    content_of,
    held_by,
    planned_of,
    states_of,
    timing_of,
    utc_now,
)  # fmt: skip

DAILY = timing_of(schedule="FREQ=DAILY")
TOMORROW = "2026-03-21T12:00:00"
OVERRIDE = StoredOverride(recurrence_id=TOMORROW, original_at=NOON + DAY, created_at=NOON)


async def overridden(conn: Connection, change: Override, *, recurrence_id: str = TOMORROW) -> Event:
    """Store a daily event with a change to one occurrence."""
    event = await an_event(conn, content_of(DAILY))
    stored = msgspec.structs.replace(
        OVERRIDE, recurrence_id=recurrence_id, excluded=change.excluded, scheduled_at=change.scheduled_at
    )
    await overrides.put(conn, event.id, stored)
    return await events.get(conn, event.id, sight=EVERYTHING)


async def test_an_override_is_read_as_it_was_written(conn: Connection) -> None:
    event = await an_event(conn)
    written = msgspec.structs.replace(
        OVERRIDE, scheduled_at=NOON + HOUR, metadata={"b": 1e25, "a": [None]}, webhook_url="https://x.example"
    )

    await overrides.put(conn, event.id, written)

    assert await overrides.of_event(conn, event.id, before=None, limit=10) == [written]


async def test_one_that_is_put_again_keeps_the_time_of_its_creation(conn: Connection) -> None:
    event = await an_event(conn)
    await overrides.put(conn, event.id, OVERRIDE)

    again = await overrides.put(
        conn, event.id, msgspec.structs.replace(OVERRIDE, excluded=True, created_at=NOON + HOUR)
    )

    assert (again.created_at, again.excluded) == (NOON, True)
    assert await overrides.of_event(conn, event.id, before=None, limit=10) == [again]


async def test_one_that_is_dropped_is_gone_and_the_others_stay(conn: Connection) -> None:
    event = await an_event(conn)
    other = msgspec.structs.replace(OVERRIDE, recurrence_id="2026-03-22T12:00:00")
    for each in (OVERRIDE, other):
        await overrides.put(conn, event.id, each)

    await overrides.drop(conn, event.id, TOMORROW)

    assert await overrides.of_event(conn, event.id, before=None, limit=10) == [other]


async def test_overrides_of_several_events_are_read_at_once(conn: Connection) -> None:
    left_out = await overridden(conn, Override(excluded=True))
    moved = await overridden(conn, Override(scheduled_at=NOON + HOUR))
    plain = await an_event(conn)

    found = await overrides.of_events(conn, [left_out.id, moved.id, plain.id])

    assert found == {
        left_out.id: {TOMORROW: Override(excluded=True)},
        moved.id: {TOMORROW: Override(scheduled_at=NOON + HOUR)},
    }
    assert (left_out.overrides, moved.overrides) == (found[left_out.id], found[moved.id])


async def test_a_plan_knows_the_overrides(conn: Connection) -> None:
    event = await overridden(conn, Override(excluded=True))

    async with conn.transaction():
        plans = await events.to_plan(conn, [event.id])

    assert plans == {event.id: planning.plan_of(event)}
    assert await planning.plan_next(conn, [(planning.plan_of(event), NOON)]) == {event.id: NOON + 2 * DAY}


async def test_the_chain_passes_over_what_was_moved_also_after_it_has_fired(conn: Connection) -> None:
    event = await overridden(conn, Override(scheduled_at=NOON + HOUR))
    plan = planning.plan_of(event)

    assert await planning.plan_moved(conn, plan, after=NOON) == NOON + HOUR
    [claim] = await deliveries.claim_due(conn, now=NOON + HOUR, limit=10)
    await deliveries.begin(conn, [held_by(claim)])
    chained = await planning.plan_next(conn, [(plan, NOON)])

    assert not claim.chained
    assert claim.occurrence_id == occurrence_id_of(event.id, TOMORROW, NOON + DAY)
    assert chained == {event.id: NOON + 2 * DAY}
    assert await planning.plan_moved(conn, plan, after=NOON) is None
    assert len(await states_of(conn, event.id)) == 2


async def test_what_has_been_moved_into_the_past_meanwhile_is_not_planned(conn: Connection) -> None:
    event = await overridden(conn, Override(scheduled_at=NOON + HOUR))

    assert await planning.plan_moved(conn, planning.plan_of(event), after=NOON + HOUR) is None
    assert await states_of(conn, event.id) == {}


async def test_an_orphan_is_never_planned(conn: Connection) -> None:
    event = await overridden(conn, Override(scheduled_at=NOON + HOUR), recurrence_id="2026-03-21T13:00:00")

    assert await planning.plan_moved(conn, planning.plan_of(event), after=NOON) is None


async def test_the_chain_is_pulled_back_only_where_its_head_is_not_earlier(conn: Connection) -> None:
    event = await an_event(conn, content_of(DAILY))
    await a_waiting(conn, event, NOON + DAY, chained=True)

    assert not await planned_deliveries.pull_back(conn, event.id, NOON + DAY + SECOND)
    assert len(await states_of(conn, event.id)) == 1
    assert await planned_deliveries.pull_back(conn, event.id, NOON + DAY)
    assert await states_of(conn, event.id) == {}


async def test_what_is_claimed_or_not_of_the_chain_is_not_pulled_back(conn: Connection) -> None:
    event = await an_event(conn, content_of(DAILY))
    await a_waiting(conn, event, NOON + DAY, chained=True)
    await deliveries.claim_due(conn, now=NOON + DAY, limit=1)
    await a_waiting(conn, event, NOON + 3 * DAY)

    assert await planned_deliveries.pull_back(conn, event.id, NOON)

    assert len(await states_of(conn, event.id)) == 2


async def test_only_what_has_not_begun_is_taken_back(conn: Connection) -> None:
    event = await an_event(conn)
    begun = await a_waiting(conn, event, utc_now() - MINUTE)
    [claim] = await deliveries.claim_due(conn, limit=1)
    await deliveries.begin(conn, [held_by(claim)])
    later = await a_waiting(conn, event, utc_now() + DAY)

    for each in (begun, later):
        await planned_deliveries.take_back(conn, each.occurrence_id)

    assert await states_of(conn, event.id) == {begun.occurrence_id: "queued"}
    assert await planned_deliveries.is_under_way_or_over(conn, begun.occurrence_id)
    assert not await planned_deliveries.is_under_way_or_over(conn, later.occurrence_id)


async def test_metadata_and_address_of_an_override_reach_the_attempt(conn: Connection) -> None:
    start = utc_now() - MINUTE
    event = await an_event(conn, content_of(timing_of(start)))
    planned = planned_of(event, start)
    assert planned.recurrence_id is not None
    await planned_deliveries.insert(conn, [planned])
    await overrides.put(
        conn,
        event.id,
        StoredOverride(
            recurrence_id=planned.recurrence_id,
            original_at=start,
            metadata={"a": 1},
            webhook_url="https://elsewhere.example/",
            created_at=NOON,
        ),
    )
    [claim] = await deliveries.claim_due(conn, limit=1)

    [due] = await deliveries.begin(conn, [held_by(claim)])

    assert (due.metadata, due.webhook_url) == ({"a": 1}, "https://elsewhere.example/")
