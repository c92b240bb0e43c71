"""What a caller may see, as a condition on events. Every list and every look-up of one thing goes through it."""

from __future__ import annotations

from typing import LiteralString

import msgspec


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """Which events exist for a caller: those with one of `tags` or a tag that starts with a prefix; or `every` one."""

    every: bool = False
    tags: list[str] = []
    prefixes: list[str] = []
    """Each ends in a colon."""


EVERYTHING = Sight(every=True)
MOST_COLONS = 4
"""Of the prefixes that an event's row holds: `prefixes_of` in the schema."""

_TAGS: LiteralString = " AND e.tags && %(sight_tags)s::text[]"
_PREFIXES: LiteralString = " AND e.prefixes && %(sight_prefixes)s::text[]"
_EITHER: LiteralString = " AND (e.tags && %(sight_tags)s::text[] OR e.prefixes && %(sight_prefixes)s::text[])"
_LONG_PREFIXES: LiteralString = """
       AND (e.tags && %(sight_tags)s::text[]
            OR EXISTS (SELECT FROM unnest(e.tags) AS tag, unnest(%(sight_long_prefixes)s::text[]) AS prefix
                        WHERE starts_with(tag, prefix)))
"""


def condition(sight: Sight) -> tuple[LiteralString, dict[str, object]]:
    """Return what to append to the WHERE of a query over `events AS e`, and its parameters."""
    if sight.every:
        return "", {}
    if not sight.prefixes:
        return _TAGS, {"sight_tags": sight.tags}
    indexed = [_indexed(prefix) for prefix in sight.prefixes]
    parameters: dict[str, object] = {"sight_tags": sight.tags, "sight_prefixes": indexed}
    found = _EITHER if sight.tags else _PREFIXES
    if indexed == sight.prefixes:
        return found, parameters
    return found + _LONG_PREFIXES, parameters | {"sight_long_prefixes": sight.prefixes}


def _indexed(prefix: str) -> str:
    """Return the longest beginning of a prefix that an event's row may hold."""
    return "".join(f"{part}:" for part in prefix.split(":")[:-1][:MOST_COLONS])
