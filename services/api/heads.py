"""Request lines and headers that are not worth reading, whatever they ask for."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, cast

from litestar.types import Scope

LARGEST = 64 * 1024
"""Bytes of a request line and headers: room for the longest token and for the longest filters of a list."""
MOST_HEADERS = 100
MOST_PARAMETERS = 100

_ONCE = (b"host", b"authorization", b"content-type", b"content-length", b"idempotency-key")
"""Headers that two readers could read differently if they stood twice."""


def problem_of(scope: Scope) -> str | None:
    """Return what is wrong with a request before anybody looks at what it asks for."""
    details = cast("MutableMapping[str, Any]", scope)
    headers: list[tuple[bytes, bytes]] = details["headers"]
    query: bytes = details.get("query_string", b"")
    size = len(details.get("raw_path") or b"") + len(query) + sum(len(name) + len(value) for name, value in headers)
    if size > LARGEST:
        return f"The request line and the headers take {size} bytes; {LARGEST} are allowed."
    if len(headers) > MOST_HEADERS:
        return f"There are {len(headers)} headers; {MOST_HEADERS} are allowed."
    if query.count(b"&") >= MOST_PARAMETERS:
        return f"There are more than {MOST_PARAMETERS} query parameters."
    names = [name for name, _ in headers]
    twice = next((name for name in _ONCE if names.count(name) > 1), None)
    return None if twice is None else f"The header {twice.decode()} stands more than once."
