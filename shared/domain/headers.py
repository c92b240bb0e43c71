"""Which headers of a client's own a webhook may carry.

Judged when an event is written, and once more before a request is made: what is stored may be older than a rule.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", re.ASCII)
_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_OURS = ("webhook-", "x-qhronos-")
_OF_THE_TRACE = frozenset({"traceparent", "tracestate"})
_OF_THE_CONNECTION = frozenset(
    {
        "host", "content-length", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect",
    }
)  # fmt: skip


def is_name(name: str) -> bool:
    """Tell whether `name` is a token (RFC 9110 section 5.6.2) of at most 128 characters."""
    return _TOKEN.fullmatch(name) is not None


def is_value(value: str) -> bool:
    """Tell whether `value` is one line of Latin-1 text with nothing blank at its ends."""
    return _VALUE.fullmatch(value) is not None and value == value.strip()


def is_reserved(name: str) -> bool:
    """Tell whether a header is the service's to set."""
    lower = name.lower()
    return shapes_the_connection(name) or lower in _OF_THE_TRACE or lower.startswith(_OURS)


def shapes_the_connection(name: str) -> bool:
    """Tell whether a header says where a request goes, where it ends, or what becomes of its connection."""
    return name.lower().startswith("proxy-") or name.lower() in _OF_THE_CONNECTION
