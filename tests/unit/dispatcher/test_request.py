from __future__ import annotations

import hashlib
import hmac
import re
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from services.dispatcher.request import request_of, secrets_of
from shared import signing
from shared.domain import payload
from shared.domain.ids import ChainId
from shared.domain.secrets import EventSecrets, PreviousSecret
from shared.errors import SecretUnreadable
from shared.recurrence import zone_of
from shared.sealing import Seals
from shared.version import VERSION
from tests.factories import NOON, SECOND, content_of, due_of, event_of, utc_now

DEFAULT = "the secret of all"


def test_the_request_has_the_headers_that_are_promised() -> None:
    due = due_of(attempts=2)

    request = request_of(due, now=NOON + 7 * SECOND, secrets=[DEFAULT])

    signed = {"webhook-signature", "x-qhronos-signature", "traceparent", "tracestate"}
    assert {name: value for name, value in request.headers.items() if name not in signed} == {
        "content-type": "application/json",
        "user-agent": f"Qhronos/{VERSION}",
        "accept": "*/*",
        "webhook-id": str(due.occurrence_id),
        "webhook-timestamp": "1774008007",
        "x-qhronos-attempt": "3",
    }
    assert signed <= request.headers.keys()


def test_the_request_goes_to_the_events_current_address_with_its_method() -> None:
    event = event_of(msgspec.structs.replace(content_of(), method="PUT", webhook_url="https://old.example/"))
    due = msgspec.structs.replace(due_of(event), webhook_url="https://new.example/")

    request = request_of(due, now=NOON, secrets=[DEFAULT])

    assert (request.method, request.url) == ("PUT", "https://new.example/")
    assert request.body == payload.body_of(due, zone_of)


def test_every_secret_signs_and_the_first_one_signs_the_bare_body() -> None:
    used = ["the newest secret of all", "Schlüssel für früher", DEFAULT]

    request = request_of(due_of(), now=utc_now(), secrets=used)

    for secret in used:
        cast("Any", Webhook(secret.encode())).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        cast("Any", Webhook(b"a secret of nobody")).verify(request.body, request.headers)
    signatures = request.headers["webhook-signature"].split(" ")
    message_id, timestamp = request.headers["webhook-id"], int(request.headers["webhook-timestamp"])
    assert signatures == [signing.standard_signature(s, message_id, timestamp, request.body) for s in used]
    expected = hmac.new(used[0].encode(), request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-qhronos-signature"] == expected


def secrets_used(current: str | None, *previous: tuple[str | None, timedelta]) -> list[str]:
    """Return what signs at noon; each previous secret comes with how long it is still good."""
    old = tuple(PreviousSecret(secret, NOON + left) for secret, left in previous)
    due = msgspec.structs.replace(due_of(), secrets=EventSecrets(current, old))
    return secrets_of(due, Seals([]), default=DEFAULT)


def test_the_events_own_secret_signs_before_the_default_one() -> None:
    assert secrets_used(None) == [DEFAULT]
    assert secrets_used("own") == ["own"]


def test_previous_secrets_sign_as_long_as_they_are_good_each_once() -> None:
    assert secrets_used("own", ("b", SECOND), (None, SECOND), ("a", -SECOND)) == ["own", "b", DEFAULT]
    assert secrets_used("own", ("b", timedelta(0))) == ["own"]
    assert secrets_used("own", ("own", SECOND), ("b", SECOND), ("b", 2 * SECOND)) == ["own", "b"]
    assert secrets_used(None, ("own", SECOND)) == [DEFAULT, "own"]


def test_a_sealed_secret_signs_opened_and_none_stands_in_for_one_that_cannot_be() -> None:
    ours, other = Seals([bytes(range(32))]), Seals([bytes(range(1, 33))])
    due = due_of()
    good, bad = ours.seal("own", due.event_id), other.seal("old", due.event_id)

    def used(*stored: str | None) -> list[str]:
        secrets = EventSecrets(stored[0], tuple(PreviousSecret(s, NOON + SECOND) for s in stored[1:]))
        return secrets_of(msgspec.structs.replace(due, secrets=secrets), ours, default=DEFAULT)

    assert used(good, None) == ["own", DEFAULT]
    for stored in ((bad,), (bad, good), (good, bad), (None, bad)):
        with pytest.raises(SecretUnreadable):
            used(*stored)


def test_headers_of_the_event_are_sent_along_and_may_change_the_content_type() -> None:
    headers = {"Authorization": "Bearer x", "Content-Type": "application/vnd.api+json"}
    due = due_of(event_of(msgspec.structs.replace(content_of(), headers=headers)))

    request = request_of(due, now=NOON, secrets=[DEFAULT])

    assert request.headers["authorization"] == "Bearer x"
    assert request.headers["content-type"] == "application/vnd.api+json"
    assert [name for name in request.headers if name != name.lower()] == []


@pytest.mark.parametrize("name", ["Webhook-ID", "webhook-signature", "X-Qhronos-Signature", "TraceState"])
def test_headers_of_the_event_never_replace_ours(name: str) -> None:
    due = due_of(event_of(msgspec.structs.replace(content_of(), headers={name: "forged"})))

    assert "forged" not in request_of(due, now=NOON, secrets=[DEFAULT]).headers.values()


def test_every_attempt_is_a_span_of_its_own_in_the_trace_of_the_occurrence() -> None:
    due = due_of()

    first, second = (request_of(due, now=NOON, secrets=[DEFAULT]).headers["traceparent"] for _ in range(2))

    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", first)
    assert first.split("-")[1] == second.split("-")[1] == due.occurrence_id.hex
    assert first != second


def test_the_chain_of_the_delivery_is_named_as_w3c_trace_context_writes_it() -> None:
    chain = ChainId(UUID("01a20ed0-e621-79f5-9ce6-de4d6480a891"))
    due = msgspec.structs.replace(due_of(), chain_id=chain)

    request = request_of(due, now=NOON, secrets=[DEFAULT])

    assert request.headers["tracestate"] == "qhronos=01a20ed0e62179f59ce6de4d6480a891"


def test_a_retry_keeps_its_id_and_its_body_signature_follows_the_body() -> None:
    due = due_of()
    retried = msgspec.structs.replace(due, attempts=1)

    first = request_of(due, now=NOON, secrets=[DEFAULT])
    second = request_of(retried, now=NOON, secrets=[DEFAULT])

    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body != second.body
    assert first.headers["x-qhronos-signature"] != second.headers["x-qhronos-signature"]
