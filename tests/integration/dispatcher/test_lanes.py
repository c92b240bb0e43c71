"""One destination that hangs, fails, floods or asks for time is nothing to the others, and loses nothing itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import pytest

from services.dispatcher.lanes import FIRST_CAP, SHORTEST_QUEUE
from shared.domain.destinations import TRIPS_AT, DestinationId, Tally, destination_of, origin_of
from shared.domain.events import Event
from shared.store import deliveries
from shared.store import destinations as store
from shared.store.clock import database_now
from shared.store.pool import Connection
from tests.factories import HOUR, MINUTE, a_claimed, an_event, states_of
from tests.integration.dispatcher.world import Holding, World, to
from tests.integration.waiting import until
from tests.receiver import Answer, Receiver, Request


async def blocked(conn: Connection, receiver: Receiver, *, lasts: timedelta) -> datetime:
    """Block a receiver for so long; return until when."""
    id_ = at(receiver)
    tally = Tally(origin=origin_of(receiver.url()), failures=TRIPS_AT, answered=False)
    await store.record(conn, {id_: tally})
    await conn.execute("UPDATE destinations SET blocked_until = clock_timestamp() + %s WHERE id = %s", [lasts, id_])
    until = (await store.known(conn))[id_]
    assert until is not None
    return until


def at(receiver: Receiver) -> DestinationId:
    return destination_of(receiver.url())


async def waits_of(conn: Connection, event: Event) -> list[tuple[datetime, datetime, int, bool]]:
    """Return of each live delivery when it is claimed and due next, its attempts, and whether it is held."""
    cursor = await conn.execute(
        "SELECT next_at, due_at, attempts, leased FROM deliveries WHERE event_id = %s", [event.id]
    )
    return [(row[0], row[1], row[2], row[3]) for row in await cursor.fetchall()]


async def counts_of(conn: Connection, event: Event) -> Counter[str]:
    return Counter((await states_of(conn, event.id)).values())


async def claimed_now(conn: Connection) -> list[deliveries.ClaimedDelivery]:
    """Let the time of all that waits come, and claim it."""
    await conn.execute("UPDATE deliveries SET due_at = now(), next_at = now() WHERE NOT leased")
    return await deliveries.claim_due(conn, limit=1000)


class TestHanging:
    async def test_a_destination_that_hangs_does_not_delay_another(
        self, world: World, receiver: Receiver, other_receiver: Receiver
    ) -> None:
        answer = Holding(receiver)
        hanging, healthy = [await an_event(world.conn, to(each)) for each in (receiver, other_receiver)]
        claims = [*await world.claimed(hanging, 2 * SHORTEST_QUEUE), *await world.claimed(healthy, 20)]

        async with world.running():
            await world.publish(*claims)
            await world.until_all_are(healthy, *["delivered"] * 20)

            assert "delivered" not in await counts_of(world.conn, hanging)
            assert len(receiver.requests) <= FIRST_CAP
            answer.let_go()

    async def test_a_destination_that_answers_gets_more_at_once(self, world: World, receiver: Receiver) -> None:
        let_go = asyncio.Event()

        async def answer(_: Request) -> Answer:
            if len(receiver.requests) > FIRST_CAP:
                await let_go.wait()
            return Answer(status=200)

        receiver.answer_with(answer)
        event = await an_event(world.conn, to(receiver))
        claims = await world.claimed(event, 4 * FIRST_CAP)

        async with world.running():
            await world.publish(*claims)
            arrived = await receiver.wait_for(3 * FIRST_CAP)  # each of the first ones has made room for two
            assert len(arrived) - FIRST_CAP > FIRST_CAP  # those that are not answered yet
            let_go.set()
            await world.until_all_are(event, *["delivered"] * 4 * FIRST_CAP)

    async def test_what_a_flood_leaves_no_room_for_is_put_off_at_no_cost_and_the_rest_is_delivered(
        self, world: World, receiver: Receiver
    ) -> None:
        answer = Holding(receiver)
        event = await an_event(world.conn, to(receiver))
        claims = await world.claimed(event, 4 * SHORTEST_QUEUE)
        kept = SHORTEST_QUEUE + FIRST_CAP

        async def put_off() -> bool:
            return (await counts_of(world.conn, event))["scheduled"] > SHORTEST_QUEUE

        async with world.running():
            await world.publish(*claims)
            await until(put_off)
            waits = await waits_of(world.conn, event)
            answer.let_go()

            async def worked_off() -> bool:
                return not (await counts_of(world.conn, event))["queued"]

            await until(worked_off)
            await world.until_forgotten()

        assert len(waits) == len(claims)
        assert {attempts for _, _, attempts, _ in waits} == {0}
        assert sum(leased for _, _, _, leased in waits) >= kept
        counts = await counts_of(world.conn, event)
        assert counts["delivered"] == len(receiver.requests) >= kept
        assert counts["delivered"] + counts["scheduled"] == len(claims)


class TestBlocked:
    async def test_what_goes_to_a_blocked_destination_waits_until_it_is_free_at_no_cost(
        self, world: World, receiver: Receiver
    ) -> None:
        event = await an_event(world.conn, to(receiver))
        free_at = await blocked(world.conn, receiver, lasts=10 * MINUTE)
        claims = await world.claimed(event, 10)

        async with world.running() as work:
            await world.until_it_knows(work, at(receiver))
            await world.publish(*claims)
            await world.until_all_are(event, *["scheduled"] * 10)
            await world.until_forgotten()

        assert receiver.requests == []
        waits = await waits_of(world.conn, event)
        assert len(waits) == 10
        for next_at, due_at, attempts, leased in waits:
            assert free_at <= next_at == due_at < free_at + 2 * MINUTE
            assert (attempts, leased) == (0, False)

    async def test_a_blocked_destination_does_not_delay_another(
        self, world: World, receiver: Receiver, other_receiver: Receiver
    ) -> None:
        shut, open_ = [await an_event(world.conn, to(each)) for each in (receiver, other_receiver)]
        await blocked(world.conn, receiver, lasts=HOUR)
        claims = [*await world.claimed(shut, 10), *await world.claimed(open_, 10)]

        async with world.running() as work:
            await world.until_it_knows(work, at(receiver))
            await world.publish(*claims)
            await world.until_all_are(open_, *["delivered"] * 10)

        assert receiver.requests == []

    async def test_a_destination_that_fails_too_often_is_left_alone(self, world: World, receiver: Receiver) -> None:
        receiver.answer(500)
        failing = await an_event(world.conn, to(receiver))
        another = await an_event(world.conn, to(receiver, path="/another"))
        claims = await world.claimed(failing, TRIPS_AT)

        async with world.running() as work:
            await world.publish(*claims)
            await world.until_all_are(failing, *["retrying"] * TRIPS_AT)
            await world.until_it_knows(work, at(receiver))
            await blocked(
                world.conn, receiver, lasts=HOUR
            )  # instead of 5 s, which a slow machine may need for the rest
            await world.publish(*await world.claimed(another, 10))
            await world.until_all_are(another, *["scheduled"] * 10)

        assert len(receiver.requests) == TRIPS_AT

    async def test_a_stop_hands_back_what_waits_for_a_full_lane(self, world: World, receiver: Receiver) -> None:
        answer = Holding(receiver)
        event = await an_event(world.conn, to(receiver))
        claims = await world.claimed(event, 3 * FIRST_CAP)

        async with world.running():
            await world.publish(*claims)
            await receiver.wait_for(FIRST_CAP)
            answer.let_go_later()

        counts = await counts_of(world.conn, event)
        assert counts["delivered"] == len(receiver.requests)
        assert counts["delivered"] + counts["scheduled"] == len(claims)


class TestHalfOpen:
    async def test_when_a_block_is_over_exactly_one_is_tried_and_its_success_lets_the_others_follow(
        self, world: World, receiver: Receiver
    ) -> None:
        answer = Holding(receiver)
        event = await an_event(world.conn, to(receiver))
        await blocked(world.conn, receiver, lasts=timedelta(0))
        claims = await world.claimed(event, 10)

        async with world.running() as one, world.running() as other:
            for work in (one, other):
                await world.until_it_knows(work, at(receiver))
            await world.publish(*claims)
            await world.until_all_are(event, "queued", *["scheduled"] * 9)
            await receiver.wait_for(1)
            assert len(receiver.requests) == 1
            assert {attempts for _, _, attempts, _ in await waits_of(world.conn, event)} == {0}

            answer.let_go()
            await world.until_all_are(event, "delivered", *["scheduled"] * 9)
            await self.until_delivered_or_put_off(world, event, 10)

        assert len(receiver.requests) == 10

    async def until_delivered_or_put_off(self, world: World, event: Event, number: int) -> None:
        """Return when all is delivered, publishing anew what the dispatcher that had not yet looked has put off."""

        async def reached() -> bool:
            await world.publish(*await claimed_now(world.conn))
            return await counts_of(world.conn, event) == {"delivered": number}

        await until(reached)

    async def test_a_failed_probe_leaves_the_others_waiting(self, world: World, receiver: Receiver) -> None:
        receiver.answer(500)
        event = await an_event(world.conn, to(receiver))
        await blocked(world.conn, receiver, lasts=timedelta(0))
        claims = await world.claimed(event, 10)

        async with world.running() as work:
            await world.until_it_knows(work, at(receiver))
            await world.publish(*claims)
            await world.until_all_are(event, "retrying", *["scheduled"] * 9)
            await world.until_forgotten()

        assert len(receiver.requests) == 1
        free_at = (await store.known(world.conn))[at(receiver)]
        assert free_at is not None
        cursor = await world.conn.execute("SELECT trips, probing FROM destinations")
        assert await cursor.fetchall() == [(2, False)]

    async def test_a_probe_whose_dispatcher_died_is_made_by_another_when_its_hold_is_over(
        self, world: World, receiver: Receiver
    ) -> None:
        event = await an_event(world.conn, to(receiver))
        await blocked(world.conn, receiver, lasts=timedelta(0))
        assert await store.probe(world.conn, [at(receiver)], hold=timedelta(0)) == {at(receiver)}
        claims = await world.claimed(event, 1)

        async with world.running() as work:
            await world.until_it_knows(work, at(receiver))
            await world.publish(*claims)
            await world.until_all_are(event, "delivered")

        assert len(receiver.requests) == 1
        assert await store.known(world.conn) == {}


class TestAnswers:
    @pytest.mark.parametrize("status", [429, 503])
    async def test_the_retry_after_of_one_delivery_holds_for_all_of_its_destination_and_for_no_other(
        self, world: World, receiver: Receiver, other_receiver: Receiver, status: int
    ) -> None:
        receiver.answer(status, headers={"Retry-After": "600"})
        told, same = await an_event(world.conn, to(receiver)), await an_event(world.conn, to(receiver, path="/other"))
        other = await an_event(world.conn, to(other_receiver))
        first = await a_claimed(world.conn, told)
        before = await database_now(world.conn)

        async with world.running() as work:
            await world.publish(first)
            await world.until_all_are(told, "retrying")
            await world.until_it_knows(work, at(receiver))
            await world.publish(*await world.claimed(same, 5), *await world.claimed(other, 5))
            await world.until_all_are(same, *["scheduled"] * 5)
            await world.until_all_are(other, *["delivered"] * 5)

        assert len(receiver.requests) == 1
        for next_at, _, attempts, _ in await waits_of(world.conn, same):
            assert next_at >= before + 10 * MINUTE
            assert attempts == 0

    async def test_one_event_that_is_gone_says_nothing_against_others_of_its_destination(
        self, world: World, receiver: Receiver
    ) -> None:
        receiver.answer_with(lambda request: Answer(status=410 if request.path == "/hook" else 200))
        gone, other = await an_event(world.conn, to(receiver)), await an_event(world.conn, to(receiver, path="/other"))
        claims = [await a_claimed(world.conn, gone)]
        waiting = await world.claimed(other, 5)

        async with world.running():
            await world.publish(*claims)
            await world.until_all_are(gone, "failed")
            await world.publish(*waiting)
            await world.until_all_are(other, *["delivered"] * 5)

        cursor = await world.conn.execute("SELECT status, status_reason FROM events WHERE id = %s", [gone.id])
        assert await cursor.fetchall() == [("disabled", "gone")]
        assert await store.known(world.conn) == {}

    async def test_what_an_answer_says_of_one_request_blocks_nothing(self, world: World, receiver: Receiver) -> None:
        receiver.answer(404)
        event = await an_event(world.conn, to(receiver))
        claims = await world.claimed(event, TRIPS_AT)

        async with world.running():
            await world.publish(*claims)
            await world.until_all_are(event, *["retrying"] * TRIPS_AT)

        assert await store.known(world.conn) == {}
        assert len(receiver.requests) == TRIPS_AT
