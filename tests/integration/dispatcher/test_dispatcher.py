from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from services.dispatcher import dispatcher
from services.dispatcher.lanes import FIRST_CAP
from shared.domain.attempts import Outcome
from shared.domain.deliveries import Finished, Held
from shared.store import deliveries, events, replays
from shared.store.sight import Sight
from shared.stream import deliveries as stream
from tests.factories import (
    HOUR,
    MINUTE,
    SECOND,
    a_claimed,
    a_waiting,
    an_event,
    states_of,
    utc_now,
)
from tests.integration.dispatcher.world import Holding, World, to
from tests.receiver import Answer, Receiver


class TestDelivering:
    async def test_a_message_becomes_a_delivery_not_before_its_time(self, world: World, receiver: Receiver) -> None:
        event = await an_event(world.conn, to(receiver))
        due_at = utc_now() + timedelta(milliseconds=300)
        claim = await a_claimed(world.conn, event, due_at)

        async with world.running():
            await world.publish(claim)
            [request] = await receiver.wait_for(1)
            await world.until_all_are(event, "delivered")
            await world.until_forgotten()

        assert datetime.fromtimestamp(request.at, UTC) >= due_at
        assert request.headers["webhook-id"] == str(claim.occurrence_id)
        [attempt] = await world.attempts_of(claim)
        assert attempt.started_at >= due_at
        assert (attempt.outcome, attempt.number, attempt.epoch, attempt.stale) == (
            Outcome.DELIVERED, 1, claim.epoch, False,
        )  # fmt: skip

    async def test_deliveries_are_made_in_the_order_of_their_times(self, world: World, receiver: Receiver) -> None:
        event = await an_event(world.conn, to(receiver))
        now = utc_now() + timedelta(milliseconds=200)
        for number in range(5):
            await a_waiting(world.conn, event, now + number * timedelta(milliseconds=40))
        claims = await deliveries.claim_due(world.conn, limit=10)
        await world.publish(*sorted(claims, key=lambda claim: claim.due_at, reverse=True))

        async with world.running():  # it reads all of them at once
            await world.until_all_are(event, *["delivered"] * 5)

        claims.sort(key=lambda claim: claim.due_at)
        begun = [attempt.started_at for claim in claims for attempt in await world.attempts_of(claim)]
        assert begun == sorted(begun)
        assert all(at >= claim.due_at for at, claim in zip(begun, claims, strict=True))

    async def test_a_failure_waits_in_the_database_for_its_next_attempt(self, world: World, receiver: Receiver) -> None:
        receiver.answer(500, body=b"oh no")
        event = await an_event(world.conn, to(receiver))
        claim = await a_claimed(world.conn, event)

        async with world.running():
            await world.publish(claim)
            await world.until_all_are(event, "retrying")
            await world.until_forgotten()

        [attempt] = await world.attempts_of(claim)
        assert (attempt.outcome, attempt.status_code, attempt.response_body) == (Outcome.HTTP_ERROR, 500, "oh no")
        [again] = await deliveries.claim_due(world.conn, now=utc_now() + 10 * SECOND, limit=1)
        assert again.due_at >= attempt.started_at + 4 * SECOND
        assert len(receiver.requests) == 1

    async def test_a_retry_is_the_next_attempt_of_the_same_webhook(self, world: World, receiver: Receiver) -> None:
        receiver.answer_with(lambda request: Answer(status=200 if request.headers["x-qhronos-attempt"] == "2" else 503))
        event = await an_event(world.conn, to(receiver))
        first = await a_claimed(world.conn, event)

        async with world.running():
            await world.publish(first)
            await world.until_all_are(event, "retrying")
            await world.conn.execute("UPDATE deliveries SET due_at = now(), next_at = now()")
            await world.publish(*await deliveries.claim_due(world.conn, limit=1))
            await world.until_all_are(event, "delivered")

        assert [request.headers["x-qhronos-attempt"] for request in receiver.requests] == ["1", "2"]
        assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1

    async def test_gone_disables_the_event(self, world: World, receiver: Receiver) -> None:
        receiver.answer(410)
        event = await an_event(world.conn, to(receiver))
        claim = await a_claimed(world.conn, event)
        await a_waiting(world.conn, event, utc_now() + HOUR)

        async with world.running():
            await world.publish(claim)
            await world.until_all_are(event, "cancelled", "failed")

        assert (await events.get(world.conn, event.id, sight=Sight(every=True))).status == "disabled"

    async def test_an_address_that_is_not_public_is_a_dead_letter(self, world: World, receiver: Receiver) -> None:
        event = await an_event(world.conn, to(receiver))
        claim = await a_claimed(world.conn, event)

        async with world.running(allowed=()):
            await world.publish(claim)
            await world.until_all_are(event, "failed")

        assert receiver.requests == []
        assert [attempt.outcome for attempt in await world.attempts_of(claim)] == [Outcome.REFUSED]

    async def test_a_replay_is_sent_as_one_also_while_paused_and_after_its_expiry(
        self, world: World, receiver: Receiver
    ) -> None:
        event = await an_event(world.conn, msgspec.structs.replace(to(receiver), expires_after="PT1S"))
        claim = await a_claimed(world.conn, event, utc_now() - MINUTE)
        await deliveries.finish(world.conn, [Finished(claim.occurrence_id, claim.epoch, "failed", "of_test", 3)])
        await world.conn.execute("UPDATE events SET status = 'paused'")
        await replays.start(world.conn, [claim.occurrence_id])
        [again] = await deliveries.claim_due(world.conn, limit=1)

        async with world.running():
            await world.publish(again)
            [request] = await receiver.wait_for(1)
            await world.until_all_are(event, "delivered")

        assert request.headers["webhook-id"] == str(claim.occurrence_id)
        assert request.headers["x-qhronos-attempt"] == "4"
        sent = msgspec.json.decode(request.body)["delivery"]
        assert (sent["attempt"], sent["max_attempts"], sent["replay"]) == (4, 13, True)
        assert [attempt.number for attempt in await world.attempts_of(again)] == [4]


class TestNotDelivering:
    async def test_a_stale_claim_is_dropped_without_a_request(self, world: World, receiver: Receiver) -> None:
        event = await an_event(world.conn, to(receiver))
        old = await a_claimed(world.conn, event)
        await deliveries.release(world.conn, [old])
        await deliveries.claim_due(world.conn, limit=1)

        async with world.running():
            await world.publish(old)
            await world.until_forgotten()

        assert receiver.requests == []
        assert await states_of(world.conn, event.id) == {old.occurrence_id: "queued"}

    async def test_a_claim_whose_lease_has_run_out_is_dropped(self, world: World, receiver: Receiver) -> None:
        event = await an_event(world.conn, to(receiver))
        claim = await a_claimed(world.conn, event, lease=timedelta(0))

        async with world.running():
            await world.publish(claim)
            await world.until_forgotten()

        assert receiver.requests == []

    async def test_a_message_that_comes_twice_is_one_request(self, world: World, receiver: Receiver) -> None:
        event = await an_event(world.conn, to(receiver))
        claim = await a_claimed(world.conn, event, utc_now() + timedelta(milliseconds=200))

        async with world.running():
            await world.publish(claim, claim)
            await world.until_all_are(event, "delivered")
            await world.publish(claim)
            await world.until_forgotten()

        assert len(receiver.requests) == 1

    async def test_an_event_that_was_deleted_meanwhile_is_not_delivered(self, world: World, receiver: Receiver) -> None:
        event = await an_event(world.conn, to(receiver))
        claim = await a_claimed(world.conn, event)
        deleted = msgspec.structs.replace(event, version=2, status="deleted")
        await events.change(world.conn, deleted, change="deleted", fields=[], by="master")

        async with world.running():
            await world.publish(claim)
            await world.until_all_are(event, "cancelled")

        assert receiver.requests == []
        assert await world.attempts_of(claim) == []

    async def test_a_delivery_that_is_too_late_expires(self, world: World, receiver: Receiver) -> None:
        event = await an_event(world.conn, msgspec.structs.replace(to(receiver), expires_after="PT10S"))
        claim = await a_claimed(world.conn, event, utc_now() - 11 * SECOND)

        async with world.running():
            await world.publish(claim)
            await world.until_all_are(event, "expired")

        assert receiver.requests == []

    @pytest.mark.parametrize("fields", [{"v": "2", "claim": "x"}, {"v": "1", "epoch": "7"}])
    async def test_a_message_that_cannot_be_read_is_dropped(
        self, world: World, receiver: Receiver, fields: dict[str, str]
    ) -> None:
        event = await an_event(world.conn, to(receiver))
        claim = await a_claimed(world.conn, event)

        async with world.running():
            await world.redis.xadd(stream.STREAM, dict(fields.items()))
            await world.publish(claim)
            await world.until_all_are(event, "delivered")
            await world.until_forgotten()

        assert len(receiver.requests) == 1


class TestLeases:
    async def test_a_lease_outlasts_the_longest_attempt(self, world: World, receiver: Receiver) -> None:
        answer = Holding(receiver)
        event = await an_event(world.conn, to(receiver))
        claim = await a_claimed(world.conn, event, lease=MINUTE)

        async with world.running():
            await world.publish(claim)
            await receiver.wait_for(1)
            lease_left = await world.lease_of(claim)
            answer.let_go()
            await world.until_all_are(event, "delivered")

        assert lease_left > 2 * MINUTE

    async def test_a_result_that_comes_after_another_claim_changes_nothing(
        self, world: World, receiver: Receiver
    ) -> None:
        answer = Holding(receiver, 500)
        event = await an_event(world.conn, to(receiver))
        claim = await a_claimed(world.conn, event)

        async with world.running():
            await world.publish(claim)
            await receiver.wait_for(1)
            [newer] = await deliveries.claim_due(world.conn, now=utc_now() + HOUR, limit=1)
            answer.let_go()
            [attempt] = await world.until_attempted(claim)

        assert (attempt.stale, attempt.epoch) == (True, claim.epoch)
        assert await states_of(world.conn, event.id) == {claim.occurrence_id: "queued"}
        assert len(await deliveries.begin(world.conn, [Held(newer.occurrence_id, newer.epoch)])) == 1


class TestRedis:
    async def test_work_goes_on_after_a_flush(self, world: World, receiver: Receiver) -> None:
        event = await an_event(world.conn, to(receiver))
        first = await a_claimed(world.conn, event)

        async with world.running():
            await world.publish(first)
            await world.until_all_are(event, "delivered")
            await world.redis.flushdb()  # pyright: ignore[reportUnknownMemberType]
            await world.publish(await a_claimed(world.conn, event, utc_now() - 2 * SECOND))
            await world.until_all_are(event, "delivered", "delivered")

        assert len(receiver.requests) == 2

    async def test_what_is_held_is_delivered_although_redis_forgot_it(self, world: World, receiver: Receiver) -> None:
        answer = Holding(receiver)
        event = await an_event(world.conn, to(receiver))
        claims = await world.claimed(event, 2 * FIRST_CAP)

        async with world.running() as work:
            await world.publish(*claims)
            await receiver.wait_for(FIRST_CAP)  # and the others wait for them
            await world.until_read(work, len(claims))
            await world.redis.flushdb()  # pyright: ignore[reportUnknownMemberType]
            answer.let_go()
            await world.until_all_are(event, *["delivered"] * len(claims))

        assert len(receiver.requests) == len(claims)


class TestStopping:
    async def test_what_waits_is_handed_back(self, world: World, receiver: Receiver) -> None:
        event = await an_event(world.conn, to(receiver))
        claim = await a_claimed(world.conn, event, utc_now() + HOUR)

        async with world.running() as work:
            await world.publish(claim)
            await world.until_read(work, 1)

        assert receiver.requests == []
        assert await states_of(world.conn, event.id) == {claim.occurrence_id: "scheduled"}
        [again] = await deliveries.claim_due(world.conn, limit=1, horizon=2 * HOUR)
        assert (again.epoch, again.due_at) == (claim.epoch + 1, claim.due_at)
        assert await world.redis.xlen(stream.STREAM) == 0

    async def test_what_has_begun_is_finished_and_made_once(self, world: World, receiver: Receiver) -> None:
        answer = Holding(receiver)
        event = await an_event(world.conn, to(receiver))
        claim = await a_claimed(world.conn, event)

        async with world.running():
            await world.publish(claim)
            await receiver.wait_for(1)
            answer.let_go_later()

        assert await states_of(world.conn, event.id) == {claim.occurrence_id: "delivered"}
        assert len(receiver.requests) == 1

    async def test_what_does_not_end_in_time_is_interrupted_and_tried_again(
        self, world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dispatcher, "GRACE", timedelta(milliseconds=50))
        answer = Holding(receiver)
        event = await an_event(world.conn, to(receiver))
        claim = await a_claimed(world.conn, event)

        async with world.running() as work:
            await world.publish(claim)
            await receiver.wait_for(1)

        [attempt] = await world.attempts_of(claim)
        assert (attempt.outcome, attempt.number, attempt.status_code) == (Outcome.INTERRUPTED, 1, None)
        assert attempt.error == "the dispatcher had to stop"
        assert await states_of(world.conn, event.id) == {claim.occurrence_id: "retrying"}
        assert await stream.pending_of(world.redis, work.consumer, count=10) == []
        answer.let_go()
        await world.conn.execute("UPDATE deliveries SET due_at = now(), next_at = now()")
        async with world.running():
            await world.publish(*await deliveries.claim_due(world.conn, limit=1))
            await world.until_all_are(event, "delivered")
        assert [request.headers["x-qhronos-attempt"] for request in receiver.requests] == ["1", "2"]

    async def test_a_stopped_dispatcher_leaves_no_consumer_behind(self, world: World) -> None:
        async with world.running() as work:
            await world.until_read(work, 0)

        assert await stream.silent_consumers(world.redis, silent_for=-HOUR) == []

    async def test_another_dispatcher_takes_what_was_handed_back(self, world: World, receiver: Receiver) -> None:
        event = await an_event(world.conn, to(receiver))
        claim = await a_claimed(world.conn, event, utc_now() + HOUR)
        async with world.running() as work:
            await world.publish(claim)
            await world.until_read(work, 1)
        await world.conn.execute("UPDATE deliveries SET due_at = now(), next_at = now()")

        async with world.running():
            await world.publish(*await deliveries.claim_due(world.conn, limit=1))
            await world.until_all_are(event, "delivered")

        assert len(receiver.requests) == 1
