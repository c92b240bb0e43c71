"""What a field's type cannot say: URLs, headers, durations in their ranges. Each check returns what is wrong."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import timedelta

import msgspec

from shared.domain import durations, egress
from shared.domain import headers as header_rules
from shared.domain.content import Json, Retry
from shared.errors import FieldError
from shared.settings import Networks

LARGEST_JSON = 64 * 1024
"""Bytes that `metadata` or `body` may take."""
LONGEST_DURATION = timedelta(days=3660)
_USUAL_DURATION = "PT15M"

_UNSAFE_IN_URL = re.compile(r"[\x00-\x20\x7f\\]")
_CREDENTIALS = re.compile(r"https?://[^/?#]*@", re.IGNORECASE | re.ASCII)
# Narrower than RFC 3986, so that no parser finds another host than this in what passes.
_URL = re.compile(
    r"https?://(\[(?P<literal>[0-9a-f:.]+(%[^\]/?#]*)?)\]|(?P<name>[^\[\]@:/?#]+))(:(?P<port>[0-9]*))?([/?#]|\Z)",
    re.IGNORECASE | re.ASCII,
)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_HOST = 253
_NOT_ABSOLUTE = "This is not an absolute http or https URL.", "A scheme, a host, and what else it takes."
_URL_EXAMPLE = "https://example.com/webhook"


def url(text: str, allowed: Networks) -> Iterator[FieldError]:
    """Find what keeps a webhook from being sent to `text`."""
    problem = _url_problem(text, allowed)
    if problem:
        message, hint = problem
        yield FieldError(pointer="/webhook_url", message=message, hint=hint, example=_URL_EXAMPLE)


def _url_problem(text: str, allowed: Networks) -> tuple[str, str] | None:
    if _UNSAFE_IN_URL.search(text):
        return "The URL holds a space, a backslash or a control character.", "Percent-encode it."
    if _CREDENTIALS.match(text):
        return "The URL holds credentials, which would be shown and logged.", "Send them in `headers`."
    found = _URL.match(text)
    if found is None or not _is_port(found["port"]):
        return _NOT_ABSOLUTE
    host = (found["literal"] or found["name"]).lower()
    address = egress.literal_of(host)
    if address is not None and not egress.is_allowed(address, allowed):
        return f"{address} is not a public address.", "Webhooks reach public hosts; an operator can allow networks."
    if found["literal"]:
        return _NOT_ABSOLUTE if address is None or "%" in host else None
    return _name_problem(host) if address is None or host != str(address) else None


def _name_problem(host: str) -> tuple[str, str] | None:
    """Find what keeps `host` from being a name that everybody reads alike, and nobody as an address."""
    address = egress.literal_of(host)
    if address is not None:
        return f"The host is an odd way to write {address}.", f"Write {address}."
    if not host.isprintable() or unicodedata.normalize("NFKC", host.casefold()) != host:
        return "The host holds characters that are read as others.", "Write its ASCII form, which begins with `xn--`."
    return None if _is_name(host) else _NOT_ABSOLUTE


def _is_port(text: str | None) -> bool:
    return not text or (len(text) <= 5 and 0 < int(text) < 2**16)


def _is_name(host: str) -> bool:
    try:
        labels = host.removesuffix(".").encode("idna").decode("ascii").split(".")
    except UnicodeError:
        return False
    fits = len(".".join(labels)) <= _LONGEST_HOST and all(_LABEL.fullmatch(label) for label in labels)
    return fits and not _NUMBER.fullmatch(labels[-1])


def headers(given: Mapping[str, str]) -> Iterator[FieldError]:
    """Find headers that a client may not set, and names and values that are none."""
    seen: set[str] = set()
    for name, value in given.items():
        pointer = "/headers/" + name[:100].replace("~", "~0").replace("/", "~1")
        if not header_rules.is_name(name):
            yield FieldError(pointer=pointer, message="This is not a header name.", hint="Such as x-team.")
        elif header_rules.is_reserved(name):
            yield FieldError(pointer=pointer, message="This header is set by the service.", hint="Leave it out.")
        elif name.lower() in seen:
            yield FieldError(pointer=pointer, message="This header stands twice.", hint="Names ignore case.")
        if not header_rules.is_value(value):
            message = "The value holds a control character, white space at an end, or what is not Latin-1."
            hint = "Header values are one line of text; encode anything else, for example as base64."
            yield FieldError(pointer=pointer, message=message, hint=hint, example="billing")
        seen.add(name.lower())


def duration(pointer: str, text: str, *, at_least: timedelta, at_most: timedelta) -> Iterator[FieldError]:
    """Find out whether `text` is a duration between two others."""
    try:
        value = durations.parse(text)
    except (ValueError, OverflowError) as error:
        hint = "An ISO 8601 duration of weeks, days, hours, minutes and seconds."
        usual = at_least <= durations.parse(_USUAL_DURATION) <= at_most
        example = _USUAL_DURATION if usual else _seconds(at_most)
        yield FieldError(pointer=pointer, message=str(error), hint=hint, example=example)
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
