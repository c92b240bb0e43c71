from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any, cast

import msgspec
import pytest
from standardwebhooks import Webhook

from services.dispatcher.request import request_of
from shared.domain import payload
from shared.version import VERSION
from tests.factories import NOON, SECOND, content_of, due_of, event_of, utc_now

DEFAULT = "the secret of all"


def test_the_request_has_the_headers_that_are_promised() -> None:
    due = due_of(attempts=2)

    request = request_of(due, now=NOON + 7 * SECOND, default_secret=DEFAULT)

    signed = {"webhook-signature", "x-qhronos-signature", "traceparent"}
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

    request = request_of(due, now=NOON, default_secret=DEFAULT)

    assert (request.method, request.url) == ("PUT", "https://new.example/")
    assert request.body == payload.body_of(due)


@pytest.mark.parametrize(("own", "used"), [(None, DEFAULT), ("a secret of its own", "a secret of its own")])
def test_the_events_own_secret_signs_before_the_default_one(own: str | None, used: str) -> None:
    now = utc_now()
    due = msgspec.structs.replace(due_of(), hmac_secret=own)

    request = request_of(due, now=now, default_secret=DEFAULT)

    cast("Any", Webhook(used.encode())).verify(request.body, request.headers)
    assert request.headers["x-qhronos-signature"] == hmac.new(used.encode(), request.body, hashlib.sha256).hexdigest()


def test_headers_of_the_event_are_sent_along_and_may_change_the_content_type() -> None:
    headers = {"Authorization": "Bearer x", "Content-Type": "application/vnd.api+json"}
    due = due_of(event_of(msgspec.structs.replace(content_of(), headers=headers)))

    request = request_of(due, now=NOON, default_secret=DEFAULT)

    assert request.headers["authorization"] == "Bearer x"
    assert request.headers["content-type"] == "application/vnd.api+json"
    assert [name for name in request.headers if name != name.lower()] == []


@pytest.mark.parametrize("name", ["Webhook-ID", "webhook-signature", "X-Qhronos-Signature", "X-Qhronos-Attempt"])
def test_headers_of_the_event_never_replace_ours(name: str) -> None:
    due = due_of(event_of(msgspec.structs.replace(content_of(), headers={name: "forged"})))

    assert "forged" not in request_of(due, now=NOON, default_secret=DEFAULT).headers.values()


def test_every_attempt_is_a_span_of_its_own_in_the_trace_of_the_occurrence() -> None:
    due = due_of()

    first, second = (request_of(due, now=NOON, default_secret=DEFAULT).headers["traceparent"] for _ in range(2))

    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", first)
    assert first.split("-")[1] == second.split("-")[1] == due.occurrence_id.hex
    assert first != second


def test_a_retry_keeps_its_id_and_its_body_signature_follows_the_body() -> None:
    due = due_of()
    retried = msgspec.structs.replace(due, attempts=1)

    first = request_of(due, now=NOON, default_secret=DEFAULT)
    second = request_of(retried, now=NOON, default_secret=DEFAULT)

    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body != second.body
    assert first.headers["x-qhronos-signature"] != second.headers["x-qhronos-signature"]
