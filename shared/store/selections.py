"""Which events are meant: those in sight, of these one or those with certain tags; and whether they are few.

A planner that knows no more than how common a tag is cannot tell whether a walk through all, the newest first, meets
fifty of them soon or never. So lists count first, no further than it matters.
"""

from __future__ import annotations

from typing import Literal, LiteralString

import msgspec

from shared.domain.ids import EventId
from shared.store import sight as sights
from shared.store.pool import Connection
from shared.store.sight import Sight


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What the events have in common; None: nothing."""

    sight: Sight
    event_id: EventId | None = None
    tags: list[str] | None = None
    """All of them."""
    any_tags: list[str] | None = None


Extent = Literal["none", "few", "some", "many"]
FEW = 500
"""Of so many events, each one may be asked for its occurrences."""
SOME = 5000
"""So many events may be gathered before a walk; when there are more, it meets one soon."""

IDS: LiteralString = "SELECT e.id FROM events AS e WHERE TRUE"
COUNT: LiteralString = "SELECT count(*) FROM ("
NO_FURTHER: LiteralString = " LIMIT %(most)s) AS e"

_EVENT_ID: LiteralString = " AND e.id = %(event_id)s"
_TAGS: LiteralString = " AND e.tags @> %(tags)s::text[]"
_ANY_TAGS: LiteralString = " AND e.tags && %(any_tags)s::text[]"


def condition(selection: Selection) -> tuple[LiteralString, dict[str, object]]:
    """Return what to append to the WHERE of a query over `events AS e`, and its parameters; "" for every event."""
    query, parameters = sights.condition(selection.sight)
    if selection.event_id is not None:
        query += _EVENT_ID
        parameters["event_id"] = selection.event_id
    if selection.tags:
        query += _TAGS
        parameters["tags"] = selection.tags
    if selection.any_tags is not None:
        query += _ANY_TAGS
        parameters["any_tags"] = selection.any_tags
    return query, parameters


async def extent(conn: Connection, selection: Selection) -> Extent:
    """Return how many events are meant, as far as it matters; many when it is every one."""
    query, parameters = condition(selection)
    if not query:
        return "many"
    parameters["most"] = SOME + 1
    cursor = await conn.execute(COUNT + IDS + query + NO_FURTHER, parameters, binary=True, prepare=False)
    [(number,)] = await cursor.fetchall()
    return "none" if number == 0 else "few" if number <= FEW else "some" if number <= SOME else "many"
