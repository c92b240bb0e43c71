from __future__ import annotations

import pytest

from shared import planning
from shared.domain.content import Timing
from shared.domain.deliveries import Finished
from shared.domain.events import Event
from shared.domain.ids import event_id_at, occurrence_id_of
from shared.store import deliveries
from shared.store.events import Plan
from shared.store.pool import Connection
from tests.factories import DAY, HOUR, NOON, SECOND, WEBHOOK_URL, a_waiting, an_event, content_of, states_of, timing_of

DAILY = timing_of(schedule="FREQ=DAILY")


def plan_for(event: Event) -> Plan:
    return Plan(event.id, event.version, event.content.webhook_url, event.content.timing)


async def test_the_first_occurrence_after_an_instant_is_planned(conn: Connection) -> None:
    event = await an_event(conn, content_of(DAILY))

    found = await planning.plan_next(conn, [(plan_for(event), NOON)])

    assert found == {event.id: NOON + DAY}
    tomorrow = occurrence_id_of(event.id, "2026-03-21T12:00:00", NOON + DAY)
    assert await states_of(conn, event.id) == {tomorrow: "scheduled"}


async def test_what_is_planned_carries_the_chain(conn: Connection) -> None:
    event = await an_event(conn, content_of(DAILY))
    await planning.plan_next(conn, [(plan_for(event), NOON)])

    [claim] = await deliveries.claim_due(conn, now=NOON + DAY, limit=10)

    assert claim.chained
    assert claim.scheduled_at == NOON + DAY


async def test_an_occurrence_that_has_finished_is_passed_over(conn: Connection) -> None:
    event = await an_event(conn, content_of(DAILY))
    done = await a_waiting(conn, event, NOON + DAY)
    [claim] = await deliveries.claim_due(conn, now=NOON + DAY, limit=1)
    await deliveries.finish(conn, [Finished(claim.occurrence_id, claim.epoch, "cancelled", None, 0)])

    found = await planning.plan_next(conn, [(plan_for(event), NOON)])

    assert found == {event.id: NOON + 2 * DAY}
    assert (await states_of(conn, event.id))[done.occurrence_id] == "cancelled"


async def test_occurrences_that_wait_already_are_passed_over(conn: Connection) -> None:
    event = await an_event(conn, content_of(DAILY))
    for days in (1, 2):
        await a_waiting(conn, event, NOON + days * DAY)

    assert await planning.plan_next(conn, [(plan_for(event), NOON)]) == {event.id: NOON + 3 * DAY}


async def test_the_last_occurrence_has_no_successor(conn: Connection) -> None:
    timing = timing_of(schedule="FREQ=DAILY;COUNT=2", until=NOON + DAY)
    event = await an_event(conn, content_of(timing))

    assert await planning.plan_next(conn, [(plan_for(event), NOON)]) == {event.id: NOON + DAY}
    assert await planning.plan_next(conn, [(plan_for(event), NOON + DAY)]) == {}


async def test_an_event_whose_rest_has_finished_already_has_no_successor(conn: Connection) -> None:
    timing = timing_of(schedule="FREQ=DAILY;COUNT=2", until=NOON + DAY)
    event = await an_event(conn, content_of(timing))
    await a_waiting(conn, event, NOON + DAY)

    assert await planning.plan_next(conn, [(plan_for(event), NOON)]) == {}


async def test_many_events_are_planned_at_once(conn: Connection) -> None:
    daily, hourly, once = [
        await an_event(conn, content_of(timing)) for timing in (DAILY, timing_of(schedule="FREQ=HOURLY"), timing_of())
    ]

    found = await planning.plan_next(conn, [(plan_for(event), NOON) for event in (daily, hourly, once)])

    assert found == {daily.id: NOON + DAY, hourly.id: NOON + HOUR}


async def test_nothing_is_planned_for_nobody(conn: Connection) -> None:
    assert await planning.plan_next(conn, []) == {}


@pytest.mark.parametrize(
    ("timing", "chained"),
    [(timing_of(), False), (DAILY, True), (timing_of(rdates=[NOON + HOUR]), True)],
)
def test_only_a_timing_with_more_than_one_instant_is_a_chain(timing: Timing, chained: bool) -> None:
    plan = Plan(event_id_at(NOON), 1, WEBHOOK_URL, timing)
    occurrence = planning.series_of(plan).next_after(NOON - SECOND)
    assert occurrence is not None

    planned = planning.planned(plan, occurrence)

    assert (planned.chained, planned.scheduled_at, planned.recurrence_id) == (chained, NOON, "2026-03-20T12:00:00")
