"""What a caller may see, as a condition on events. Every list and every look-up of one thing goes through it."""

from __future__ import annotations

from typing import LiteralString

import msgspec


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """Which events exist for a caller: those with one of `tags` or a tag that starts with a prefix; or `every` one."""

    every: bool = False
    tags: list[str] = []
    prefixes: list[str] = []


EVERYTHING = Sight(every=True)

_TAGS: LiteralString = " AND e.tags && %(sight_tags)s::text[]"
_TAGS_AND_PREFIXES: LiteralString = """
       AND (e.tags && %(sight_tags)s::text[]
            OR EXISTS (SELECT FROM unnest(e.tags) AS tag, unnest(%(sight_prefixes)s::text[]) AS prefix
                        WHERE starts_with(tag, prefix)))
"""


def condition(sight: Sight) -> tuple[LiteralString, dict[str, object]]:
    """Return what to append to the WHERE of a query over `events AS e`, and its parameters."""
    if sight.every:
        return "", {}
    if not sight.prefixes:
        return _TAGS, {"sight_tags": sight.tags}
    return _TAGS_AND_PREFIXES, {"sight_tags": sight.tags, "sight_prefixes": sight.prefixes}
