"""What a field's type cannot say: URLs, headers, durations in their ranges. Each check returns what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from urllib.parse import urlsplit

import msgspec

from shared.domain import durations, egress
from shared.domain.content import Json, Retry
from shared.errors import FieldError
from shared.settings import Networks

LARGEST_JSON = 64 * 1024
"""Bytes that `metadata` or `body` may take."""
LONGEST_DURATION = timedelta(days=3660)

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_UNSAFE_IN_URL = re.compile(r"[\x00-\x20\x7f\\]")
_OURS = ("webhook-", "x-qhronos-")
_RESERVED = frozenset(
    {
        "host", "content-length", "connection", "keep-alive", "proxy-authenticate", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect", "traceparent",
    }
)  # fmt: skip
_URL_EXAMPLE = "https://example.com/webhook"


def url(text: str, allowed: Networks) -> Iterator[FieldError]:
    """Find what keeps a webhook from being sent to `text`."""
    problem = _url_problem(text, allowed)
    if problem:
        message, hint = problem
        yield FieldError(pointer="/webhook_url", message=message, hint=hint, example=_URL_EXAMPLE)


def _url_problem(text: str, allowed: Networks) -> tuple[str, str] | None:
    absolute = "This is not an absolute http or https URL.", "A scheme, a host, and what else it takes."
    if _UNSAFE_IN_URL.search(text):
        return "The URL holds a space, a backslash or a control character.", "Percent-encode it."
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return absolute
    if parts.scheme not in ("http", "https") or not host or port == 0 or not _is_host(host):
        return absolute
    if parts.username is not None or parts.password is not None:
        return "The URL holds credentials, which would be shown and logged.", "Send them in `headers`."
    address = egress.literal_of(host if ":" in host else host.encode("idna").decode())
    if address is not None and not egress.is_allowed(address, allowed):
        return f"{address} is not a public address.", "Webhooks reach public hosts; an operator can allow networks."
    return None


def _is_host(host: str) -> bool:
    if ":" in host:
        return egress.literal_of(host) is not None
    try:
        labels = host.rstrip(".").encode("idna").split(b".")
    except UnicodeError:
        return False
    return all(re.fullmatch(rb"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", label) for label in labels)


def headers(given: Mapping[str, str]) -> Iterator[FieldError]:
    """Find headers that a client may not set, and names and values that are none."""
    seen: set[str] = set()
    for name, value in given.items():
        lower = name.lower()
        pointer = "/headers/" + name[:100].replace("~", "~0").replace("/", "~1")
        if not _TOKEN.fullmatch(name):
            yield FieldError(pointer=pointer, message="This is not a header name.", example={"x-team": "billing"})
        elif lower in _RESERVED or lower.startswith(_OURS):
            yield FieldError(pointer=pointer, message="This header is set by the service.", hint="Leave it out.")
        elif lower in seen:
            yield FieldError(pointer=pointer, message="This header stands twice.", hint="Names ignore case.")
        if _CONTROL.search(value) or value != value.strip():
            message = "The value holds a control character, or white space at an end."
            yield FieldError(pointer=pointer, message=message, hint="Header values are one line of text.")
        seen.add(lower)


def duration(pointer: str, text: str, *, at_least: timedelta, at_most: timedelta) -> Iterator[FieldError]:
    """Find out whether `text` is a duration between two others."""
    try:
        value = durations.parse(text)
    except (ValueError, OverflowError) as error:
        hint = "An ISO 8601 duration of weeks, days, hours, minutes and seconds."
        yield FieldError(pointer=pointer, message=str(error), hint=hint, example="PT15M")
        return
    if not at_least <= value <= at_most:
        message = f"The duration must lie between {_seconds(at_least)} and {_seconds(at_most)}."
        yield FieldError(pointer=pointer, message=message, example=_seconds(at_most))


def retry(given: Retry) -> Iterator[FieldError]:
    """Find delays and ages that are no durations."""
    for index, delay in enumerate(given.delays):
        yield from duration(f"/retry/delays/{index}", delay, at_least=timedelta(0), at_most=timedelta(days=30))
    if given.max_age is not None:
        yield from duration("/retry/max_age", given.max_age, at_least=timedelta(seconds=1), at_most=LONGEST_DURATION)


def metadata(given: Mapping[str, Json]) -> Iterator[FieldError]:
    """Find out whether the metadata is too large."""
    yield from size("/metadata", given, "metadata")


def size(pointer: str, given: Json, what: str) -> Iterator[FieldError]:
    """Find out whether JSON is too large."""
    taken = len(msgspec.json.encode(given))
    if taken > LARGEST_JSON:
        message = f"The {what} takes {taken} bytes as JSON; {LARGEST_JSON} are allowed."
        yield FieldError(pointer=pointer, message=message, hint="Store the data elsewhere and send a link to it.")


def _seconds(value: timedelta) -> str:
    return f"P{value.days}D" if value.days and not value.seconds else f"PT{value.total_seconds():g}S"
