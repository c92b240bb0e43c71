"""The HTTP request of an attempt, as a value: headers, signatures, body."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from shared import recurrence, signing, tracing
from shared.domain import chains, payload
from shared.domain.content import Method
from shared.domain.deliveries import DueDelivery
from shared.sealing import Seals
from shared.tracing import Place
from shared.version import VERSION

USER_AGENT = f"Qhronos/{VERSION}"


class WebhookRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What goes over the wire."""

    method: Method
    url: str
    headers: dict[str, str]
    own_headers: dict[str, str] = {}
    """Those of the event among them."""
    body: bytes
    place: Place
    """In the trace of the occurrence."""


def secrets_of(due: DueDelivery, seals: Seals, *, default: str) -> list[str]:
    """Return what signs an attempt, the current secret first; SecretUnreadable when any of them is.

    `default` is the secret of events that have none.
    """
    stored = due.secrets.valid(due.now)
    return list(dict.fromkeys(default if secret is None else seals.open(secret, due.event_id) for secret in stored))


def request_of(due: DueDelivery, *, now: datetime, secrets: Sequence[str]) -> WebhookRequest:
    """Return the request of the attempt that starts `now`, signed with all of the secrets; BodyTooLarge if it is."""
    body = payload.body_of(due, recurrence.zone_of)
    timestamp = int(now.timestamp())
    message_id = str(due.occurrence_id)
    place = tracing.place_of_attempt(due.occurrence_id)
    own = {name.lower(): value for name, value in due.content.headers.items()}
    headers = {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "accept": "*/*",
        **own,
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signing.standard_signature(s, message_id, timestamp, body) for s in secrets),
        "x-qhronos-signature": signing.body_signature(secrets[0], body),
        "x-qhronos-attempt": str(due.attempts + 1),
        "traceparent": place.header(sampled=tracing.is_sampled(place.trace_id)),
        chains.HEADER: chains.tracestate_of(due.chain_id),
    }
    return WebhookRequest(
        method=due.content.method,
        url=due.webhook_url,
        headers=headers,
        own_headers=due.content.headers,
        body=body,
        place=place,
    )
