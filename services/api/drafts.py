"""From what a client sent to an event's content, with every error found on the way."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast

import msgspec

from services.api import checks, decoding, templates, timings
from services.api.bodies import NewEvent, Trigger
from services.api.findings import Findings
from services.api.settings import ApiSettings
from shared.domain.content import DEFAULT_TIMEOUT, Content, Json, Misfire, Retry
from shared.errors import FieldError, Invalid

ONLY_ANSWERED = frozenset(
    {
        "id", "status", "status_reason", "version", "has_hmac_secret", "created_by", "created_at", "updated_at",
        "next_at", "upcoming", "summary", "warnings", "similar_events",
    }
)  # fmt: skip
_REPLACED_WHOLE = frozenset({"body", "schedule"})


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """Content that may be stored, and the secret that goes with it."""

    content: Content
    hmac_secret: str | None


def read(document: Mapping[str, Json], *, now: datetime, config: ApiSettings, before: Content | None = None) -> Draft:
    """Return what a document describes; Invalid with all that is wrong with it.

    `before` is the content that the document changes.
    """
    found = Findings(NewEvent, document)
    timing = timings.read(found, now=now, min_interval=config.min_interval, before=before.timing if before else None)
    retry: Retry = found.value("retry", Retry())
    timeout: str = found.value("timeout", DEFAULT_TIMEOUT)
    expires_after: str | None = found.value("expires_after", None)
    misfire: Misfire = found.value("misfire", Misfire())
    metadata: dict[str, Json] = found.value("metadata", {})
    headers: dict[str, str] = found.value("headers", {})
    body: Json = found.value("body", None)
    shown = {name: found.value(name, "") for name in ("name", "description", "tags")} | {"metadata": metadata}
    if found.given("webhook_url"):
        found.errors.extend(checks.url(found.value("webhook_url", ""), config.egress_allow))
    found.errors.extend(checks.headers(headers))
    if found.given("retry"):
        found.errors.extend(checks.retry(retry))
    found.errors.extend(checks.metadata(metadata))
    if body is not None:
        found.errors.extend(templates.problems(body, {f"event.{name}": value for name, value in shown.items()}))
    second, minute = timedelta(seconds=1), timedelta(minutes=1)
    found.errors.extend(checks.duration("/timeout", timeout, at_least=second, at_most=minute))
    longest = checks.LONGEST_DURATION
    found.errors.extend(checks.duration("/misfire/grace", misfire.grace, at_least=timedelta(0), at_most=longest))
    if expires_after is not None:
        found.errors.extend(checks.duration("/expires_after", expires_after, at_least=second, at_most=longest))
    found.raise_if_any()
    if timing is None:
        raise AssertionError("a timing that cannot be read leaves an error")
    content = Content(
        name=found.value("name", ""),
        description=found.value("description", ""),
        external_id=found.value("external_id", None),
        timing=timing,
        webhook_url=found.value("webhook_url", ""),
        method=found.value("method", "POST"),
        headers=headers,
        body=body,
        timeout=timeout,
        retry=retry,
        expires_after=expires_after,
        misfire=misfire,
        overlap=found.value("overlap", "allow"),
        tags=tuple(dict.fromkeys(found.value("tags", []))),
        metadata=metadata,
    )
    return Draft(content=content, hmac_secret=found.value("hmac_secret", None))


def read_trigger(document: Mapping[str, Json]) -> Trigger:
    """Return what an event is to be run with; Invalid with all that is wrong with it."""
    found = Findings(Trigger, document)
    metadata: dict[str, Json] | None = found.value("metadata", None)
    if metadata is not None:
        found.errors.extend(checks.metadata(metadata))
    found.raise_if_any()
    return Trigger(metadata=metadata)


def document_of(content: Content) -> dict[str, Json]:
    """Return the fields of `NewEvent` that describe this content."""
    timing = content.timing
    document = msgspec.to_builtins(content)
    del document["timing"]
    return document | {
        "start_time": msgspec.to_builtins(timing.start_at),
        "timezone": timing.timezone,
        "schedule": timing.schedule,
        "rdates": msgspec.to_builtins(timing.rdates),
        "exdates": msgspec.to_builtins(timing.exdates),
        "dst_gap": timing.dst_gap,
    }


def merged(content: Content, patch: Mapping[str, Json]) -> dict[str, Json]:
    """Return the document that a change makes of the present content (RFC 7396); Invalid when it clears too much."""
    cleared = [name for name in ("name", "webhook_url", "start_time") if name in patch and patch[name] is None]
    if cleared:
        raise Invalid([FieldError(pointer=f"/{name}", message="This field cannot be cleared.") for name in cleared])
    wanted = {name: value for name, value in patch.items() if name not in ONLY_ANSWERED}
    document = document_of(content)
    if wanted.get("in") is not None and "start_time" not in patch:
        del document["start_time"]
    for name, value in wanted.items():
        document[name] = value if name in _REPLACED_WHOLE else _merge(document.get(name), value)
    known = decoding.fields_of(NewEvent)  # a null for any other is no wish to clear one: it is refused by name
    return {name: value for name, value in document.items() if value is not None or name not in known}


def changed_fields(before: Content, after: Content) -> list[str]:
    """Return the names of the fields that differ, as JSON: there 1 is not true."""
    old, new = document_of(before), document_of(after)
    return [name for name in new if msgspec.json.encode(new[name]) != msgspec.json.encode(old[name])]


def _merge(present: Json, patch: Json) -> Json:
    if not isinstance(patch, dict):
        return patch
    result: dict[str, Json] = dict(cast("dict[str, Json]", present)) if isinstance(present, dict) else {}
    for name, value in cast("dict[str, Json]", patch).items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merge(result.get(name), value)
    return result
