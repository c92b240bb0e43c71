"""The headers that requests and answers carry, as the OpenAPI document tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from services.api.idempotency import HEADER
from shared.domain import chains

_TEXT = {"type": "string"}
_WHOLE = {"type": "integer", "minimum": 0}

ANSWERED: dict[str, dict[str, Any]] = {
    "X-Request-ID": {
        "description": "The request's own id where it sent a sane one, else a new one. The same stands in the logs.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    },
    "X-RateLimit-Limit": {
        "description": "How many requests the token's bucket holds. It and its like are missing while Redis is away.",
        "schema": _WHOLE,
    },
    "X-RateLimit-Remaining": {"description": "How many of them are left.", "schema": _WHOLE},
    "X-RateLimit-Reset": {"description": "Seconds until the bucket is full again.", "schema": _WHOLE},
    "Retry-After": {"description": "Seconds after which to try again.", "required": True, "schema": _WHOLE},
    "WWW-Authenticate": {"description": "Always `Bearer`.", "required": True, "schema": {"const": "Bearer"}},
    "ETag": {
        "description": "The entity tag of the event's version, for `If-Match`.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9]+"$'},
    },
    "Location": {"description": "The path of the new event.", "required": True, "schema": _TEXT},
    "Idempotency-Replayed": {
        "description": f"`true` when this is the answer that another request with the same {HEADER} was given.",
        "schema": {"const": "true"},
    },
}
_RATE_LIMIT = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_SENT: dict[str, dict[str, Any]] = {  # by what a handler says of itself
    "idempotent": {
        "name": HEADER,
        "description": "The same key with the same body is answered as the first time, for 24 hours; only success is "
        "remembered. With another body: 422; while the first is still running: 409.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x20-\x7e]+$"},
    },
    "conditional": {
        "name": "If-Match",
        "description": "The entity tag of the version to change; with another current one: 412.",
        "schema": _TEXT,
    },
    "chained": {
        "name": chains.HEADER,
        "description": "As it came with the webhook that is being handled, like `traceparent`; OpenTelemetry passes "
        "both on. Its member `qhronos` names the event whose webhooks led to this request. When they have created too "
        "many events in 24 hours: 429, which names those to delete. One that cannot be read is ignored.",
        "schema": _TEXT,
        "example": "qhronos=01a20ed0e62179f59ce6de4d6480a891",
    },
}
_REQUEST_ID: dict[str, Any] = {
    "name": "X-Request-ID",
    "description": "1 to 128 printable ASCII characters; anything else is replaced.",
    "schema": _TEXT,
}


def sent(opt: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters that a handler takes from headers."""
    return [
        {"in": "header", "required": False, **each}
        for each in [*(_SENT[name] for name in _SENT if opt.get(name)), _REQUEST_ID]
    ]


def of_response(opt: Mapping[str, Any], status: HTTPStatus, *, success: bool) -> dict[str, Any]:
    """Return references to the headers that an answer of a handler carries."""
    names = ["X-Request-ID"]
    if opt["needs"] is not None:
        names += _RATE_LIMIT
    if status == HTTPStatus.TOO_MANY_REQUESTS or (status == HTTPStatus.SERVICE_UNAVAILABLE and not opt.get("unready")):
        names.append("Retry-After")
    if status == HTTPStatus.UNAUTHORIZED:
        names.append("WWW-Authenticate")
    if success and opt.get("versioned"):
        names.append("ETag")
    if success and opt.get("idempotent"):
        names.append("Idempotency-Replayed")
    if success and opt.get("location"):
        names.append("Location")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
