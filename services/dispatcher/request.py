"""The HTTP request of an attempt, as a value: headers, signatures, body."""

from __future__ import annotations

import secrets
from datetime import datetime

import msgspec

from shared import signing
from shared.domain import payload
from shared.domain.content import Method
from shared.domain.deliveries import DueDelivery
from shared.version import VERSION

USER_AGENT = f"Qhronos/{VERSION}"


class WebhookRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What goes over the wire."""

    method: Method
    url: str
    headers: dict[str, str]
    body: bytes


def request_of(due: DueDelivery, *, now: datetime, default_secret: str) -> WebhookRequest:
    """Return the signed request of the attempt that starts `now`."""
    body = payload.body_of(due)
    secret = due.hmac_secret or default_secret
    timestamp = int(now.timestamp())
    message_id = str(due.occurrence_id)
    own = {name.lower(): value for name, value in due.content.headers.items()}
    headers = {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "accept": "*/*",
        **own,
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signing.standard_signature(secret, message_id, timestamp, body),
        "x-qhronos-signature": signing.body_signature(secret, body),
        "x-qhronos-attempt": str(due.attempts + 1),
        # One trace for all attempts of an occurrence (W3C Trace Context, level 1).
        "traceparent": f"00-{due.occurrence_id.hex}-{secrets.token_hex(8)}-01",
    }
    return WebhookRequest(method=due.content.method, url=due.webhook_url, headers=headers, body=body)
