"""What is kept of a receiver's answer: text that PostgreSQL can store, of bounded size, without cookies."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST_STORED = 4 * 1024
LONGEST_RETRY_AFTER = timedelta(hours=24)

_UNSTORED_HEADERS = frozenset({"set-cookie", "set-cookie2"})
_LONGEST_HEADER_VALUE = 1024
_MOST_HEADERS = 50
# zlib's `wbits`: gzip; zlib as the standard asks for, and bare deflate as some send it.
_WINDOWS: Mapping[str, tuple[int, ...]] = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}


def body_text(body: bytes, encoding: str) -> str:
    """Return the first 4 KiB of a body, decompressed no further than that; as it came when that is not possible."""
    opened = body
    for window in _WINDOWS.get(encoding.lower(), ()):
        try:
            opened = zlib.decompressobj(window).decompress(body, LONGEST_STORED)
            break
        except zlib.error:
            continue
    return storable(opened[:LONGEST_STORED].decode("utf-8", "replace"))


def storable_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that an attempt's record keeps."""
    kept = [(name, value) for name, value in headers.items() if name.lower() not in _UNSTORED_HEADERS]
    return {storable(name): storable(value)[:_LONGEST_HEADER_VALUE] for name, value in kept[:_MOST_HEADERS]}


def storable(text: str) -> str:
    """Replace what PostgreSQL cannot store: NUL, and the surrogates that stand for undecodable bytes."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def retry_after(value: str | None, *, now: datetime) -> timedelta | None:
    """Read a Retry-After header (RFC 9110 section 10.2.3), up to 24 hours; None when there is none to honour."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        wait = timedelta(seconds=int(value)) if len(value) < 10 else LONGEST_RETRY_AFTER
    else:
        try:
            date = parsedate_to_datetime(value)
            wait = (date if date.tzinfo else date.replace(tzinfo=UTC)) - now
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(wait, timedelta(0)), LONGEST_RETRY_AFTER)
