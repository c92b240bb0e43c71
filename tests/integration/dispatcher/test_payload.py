"""What arrives at a receiver: bodies as they were asked for, and signatures over exactly their bytes."""

from __future__ import annotations

import hashlib
import hmac
import json
from functools import partial
from typing import Any, cast

import msgspec
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from shared.domain.attempts import Outcome
from shared.domain.content import Content
from shared.domain.ids import trigger_id_at
from shared.domain.overrides import StoredOverride
from shared.domain.secrets import EventSecrets, rotated
from shared.sealing import Seals
from shared.settings import BUILT_IN_HMAC_SECRET, Keys
from shared.store import deliveries, overrides, planned_deliveries, secrets
from tests.factories import HOUR, SECOND, a_claimed, an_event, planned_of, utc_now
from tests.integration.dispatcher.world import World, to
from tests.integration.waiting import until
from tests.receiver import Answer, Receiver, Request

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))


def with_body(receiver: Receiver, body: Any, **changes: Any) -> Content:
    return msgspec.structs.replace(to(receiver), body=body, **changes)


def verify(request: Request, secret: str) -> None:
    """Let the reference implementation judge what arrived; it raises when a signature is wrong."""
    cast("Any", Webhook(secret.encode())).verify(request.body, request.headers)
    expected = hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-qhronos-signature"] == expected


async def test_a_custom_body_arrives_filled_in_and_signed(world: World, receiver: Receiver) -> None:
    receiver.answer_with(lambda request: Answer(status=200 if request.headers["x-qhronos-attempt"] == "2" else 503))
    body = {"text": "{{event.name}}: {{delivery.attempt}}", "rooms": "{{ event.metadata.rooms }}", "ü": [None, "🌱"]}
    headers = {"content-type": "application/cloudevents+json"}
    event = await an_event(world.conn, with_body(receiver, body, metadata={"rooms": ["attic", 1]}, headers=headers))
    claim = await a_claimed(world.conn, event)

    async with world.running():
        await world.publish(claim)
        await world.until_all_are(event, "retrying")
        await world.conn.execute("UPDATE deliveries SET due_at = now(), next_at = now()")
        await world.publish(*await deliveries.claim_due(world.conn, limit=1))
        await world.until_all_are(event, "delivered")

    assert [json.loads(request.body) for request in receiver.requests] == [
        {"text": f"Water the plants: {attempt}", "rooms": ["attic", 1], "ü": [None, "🌱"]} for attempt in (1, 2)
    ]
    for request in receiver.requests:
        verify(request, BUILT_IN_HMAC_SECRET)
        assert request.headers["content-type"] == "application/cloudevents+json"


async def test_metadata_of_a_trigger_and_of_an_override_is_filled_in(world: World, receiver: Receiver) -> None:
    body = ["{{event.metadata.a}}", "{{event.metadata.b}}", "{{occurrence.recurrence_id}}"]
    event = await an_event(world.conn, with_body(receiver, body, metadata={"a": 1, "b": 2}))
    at = utc_now() - SECOND
    moved, bare = planned_of(event, at), planned_of(event, at)
    triggered = msgspec.structs.replace(
        bare, occurrence_id=trigger_id_at(at), recurrence_id=None, metadata={"b": "{{event.id}}"}
    )
    override = StoredOverride(
        recurrence_id=str(moved.recurrence_id), original_at=at, metadata={"b": [4]}, created_at=at
    )
    await overrides.put(world.conn, event.id, override)
    await planned_deliveries.insert(world.conn, [moved, triggered])

    async with world.running():
        await world.publish(*await deliveries.claim_due(world.conn, limit=2))
        await world.until_all_are(event, "delivered", "delivered")

    arrived = {request.headers["webhook-id"]: json.loads(request.body) for request in receiver.requests}
    assert arrived == {
        str(moved.occurrence_id): [1, [4], moved.recurrence_id],
        str(triggered.occurrence_id): [1, "{{event.id}}", None],
    }


async def test_a_body_that_a_trigger_makes_too_large_is_a_dead_letter_that_says_so(
    world: World, receiver: Receiver
) -> None:
    event = await an_event(world.conn, with_body(receiver, ["{{event.metadata.a}}"] * 40))
    large = msgspec.structs.replace(planned_of(event, utc_now() - SECOND), metadata={"a": "x" * 60_000})
    await planned_deliveries.insert(world.conn, [large])
    [claim] = await deliveries.claim_due(world.conn, limit=1)

    async with world.running():
        await world.publish(claim)
        await world.until_all_are(event, "failed")

    [attempt] = await world.attempts_of(claim)
    assert (attempt.outcome, attempt.number) == (Outcome.INVALID_REQUEST, 1)
    assert "1048576 bytes" in str(attempt.error)
    assert receiver.requests == []


def accepts(request: Request, secret: str) -> bool:
    """Tell whether a receiver that knows only this secret takes the request for genuine."""
    try:
        cast("Any", Webhook(secret.encode())).verify(request.body, request.headers)
    except WebhookVerificationError:
        return False
    return True


class TestRotation:
    @pytest.mark.parametrize("keys", [(), (KEY,)], ids=["stored as they are", "sealed"])
    @pytest.mark.parametrize("old", ["the old secret", None], ids=["own", "default"])
    async def test_receivers_with_either_secret_accept_until_the_grace_is_over_and_then_only_with_the_new_one(
        self, world: World, receiver: Receiver, keys: Keys, old: str | None
    ) -> None:
        receiver.answer_with(lambda request: Answer(status=200 if request.headers["x-qhronos-attempt"] == "3" else 503))
        event = await an_event(world.conn, to(receiver))
        seals, now = Seals(keys), utc_now()
        present = EventSecrets(None if old is None else seals.seal(old, event.id))
        new = seals.seal("the new secret", event.id)
        await secrets.write(world.conn, event.id, present)
        claim = await a_claimed(world.conn, event)

        async def recorded(number: int) -> bool:
            return len(await world.attempts_of(claim)) == number

        async with world.running(keys=keys):
            for number, valid_until in enumerate([None, now + HOUR, now - SECOND], 1):
                if valid_until is not None:
                    rotation = rotated(present, new, now=now - HOUR, valid_until=valid_until)
                    await secrets.write(world.conn, event.id, rotation)
                await world.conn.execute("UPDATE deliveries SET due_at = now(), next_at = now(), leased = false")
                await world.publish(*await deliveries.claim_due(world.conn, limit=1))
                await until(partial(recorded, number))

        before, during, after = receiver.requests
        known = old or BUILT_IN_HMAC_SECRET
        assert [(accepts(r, known), accepts(r, "the new secret")) for r in (before, during, after)] == [
            (True, False),
            (True, True),
            (False, True),
        ]
        verify(during, "the new secret")
        assert [len(r.headers["webhook-signature"].split(" ")) for r in (before, during, after)] == [1, 2, 1]


class TestSealing:
    async def test_a_secret_whose_key_is_gone_is_a_failure_on_record_and_is_tried_again(
        self, world: World, receiver: Receiver
    ) -> None:
        event = await an_event(world.conn, to(receiver))
        await secrets.write(world.conn, event.id, EventSecrets(Seals([KEY]).seal("the only secret", event.id)))
        claim = await a_claimed(world.conn, event)

        async with world.running(keys=(OTHER_KEY,)):
            await world.publish(claim)
            await world.until_all_are(event, "retrying")
        [attempt] = await world.attempts_of(claim)
        assert receiver.requests == []
        await world.conn.execute("UPDATE deliveries SET due_at = now(), next_at = now()")
        async with world.running(keys=(OTHER_KEY, KEY)):
            await world.publish(*await deliveries.claim_due(world.conn, limit=1))
            await world.until_all_are(event, "delivered")

        assert (attempt.outcome, attempt.status_code) == (Outcome.CANNOT_SIGN, None)
        assert "none of the 1 keys" in str(attempt.error)
        [request] = receiver.requests
        verify(request, "the only secret")

    async def test_a_secret_that_was_copied_from_another_event_signs_nothing(
        self, world: World, receiver: Receiver
    ) -> None:
        thief, owner = await an_event(world.conn, to(receiver)), await an_event(world.conn, to(receiver))
        await secrets.write(world.conn, thief.id, EventSecrets(Seals([KEY]).seal("the only secret", owner.id)))
        claim = await a_claimed(world.conn, thief)

        async with world.running(keys=(KEY,)):
            await world.publish(claim)
            await world.until_all_are(thief, "retrying")

        assert [attempt.outcome for attempt in await world.attempts_of(claim)] == [Outcome.CANNOT_SIGN]
        assert receiver.requests == []
