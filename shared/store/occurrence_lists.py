"""Pages of occurrences, the newest first, however they are narrowed.

A page's ids are found first, by indexes alone; then what the page shows is read. All in one statement: an occurrence
that finishes meanwhile is seen in one place, and a page is short only when it is the last.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import LiteralString, get_args
from uuid import UUID

import msgspec

from shared.domain.deliveries import FinalStatus, Occurrence
from shared.domain.ids import EventId
from shared.store import occurrences, selections
from shared.store.pool import Connection
from shared.store.selections import Extent, Selection
from shared.store.sight import Sight

_EARLIEST, _LATEST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
_FINAL = get_args(FinalStatus)


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of occurrences is narrowed by; None: not at all."""

    event_id: EventId | None = None
    tags: list[str] | None = None
    any_tags: list[str] | None = None
    status: str | None = None
    scheduled_from: datetime | None = None
    scheduled_to: datetime | None = None
    """Inclusive."""


ALL: LiteralString = "SELECT o.id FROM all_occurrences AS o WHERE TRUE"
# Of few events: what is live, and what is finished of each. A page shows only events whose newest ones are the newest.
LIVE: LiteralString = "SELECT o.id FROM all_occurrences AS o WHERE NOT o.finished"
EVENTS: LiteralString = "SELECT event.id FROM ("
FINISHED: LiteralString = " UNION ALL SELECT o.id FROM ("
OF_EACH: LiteralString = """
    ) AS event, LATERAL (SELECT o.id FROM all_occurrences AS o WHERE o.finished AND o.event_id = event.id
"""
NEWEST_ONE: LiteralString = " ORDER BY o.id DESC LIMIT 1) AS o"
NEWEST_PAGE: LiteralString = " ORDER BY o.id DESC LIMIT %(limit)s) AS o"
# Found before they are sorted, or else the planner walks through all by id in search of them.
WITH_MOVED: LiteralString = "WITH moved AS MATERIALIZED ("
AND_MOVED: LiteralString = ") SELECT id FROM (SELECT id FROM moved UNION ALL "
PAGE: LiteralString = " AND o.id = ANY (ARRAY (SELECT o.id FROM ("
NEWEST: LiteralString = " ORDER BY o.id DESC LIMIT %(limit)s"

OF_FEW: LiteralString = " AND o.event_id = ANY (ARRAY ("
# As a value and not as a condition, IN is asked of a hash table, which is filled once.
OF_SOME: LiteralString = " AND (o.event_id IN ("
# As a value, too: what EXISTS asks may be joined, at the price of all events for a page.
OF_MANY: LiteralString = " AND (SELECT TRUE FROM events AS e WHERE e.id = o.event_id"
STATUS: LiteralString = " AND o.finished = %(finished)s AND o.status = %(status)s"
BEFORE: LiteralString = " AND o.id < %(before)s"
# Ids begin with the nominal time, which finds all but what was moved; those have indexes of their own.
IN_PLACE: LiteralString = """
    AND o.id >= first_id_at(%(scheduled_from)s) AND o.id < first_id_at(%(beyond)s)
    AND o.scheduled_at >= %(scheduled_from)s AND o.scheduled_at <= %(scheduled_to)s
"""
MOVED: LiteralString = """
    AND is_moved(o.id, o.scheduled_at)
    AND NOT (o.id >= first_id_at(%(scheduled_from)s) AND o.id < first_id_at(%(beyond)s))
    AND o.scheduled_at >= %(scheduled_from)s AND o.scheduled_at <= %(scheduled_to)s
"""


async def newest(
    conn: Connection, filters: Filters, *, sight: Sight, before: UUID | None, limit: int
) -> list[Occurrence]:
    """Return the newest occurrences that pass, by nominal time, older than the id `before`."""
    selection = Selection(sight=sight, event_id=filters.event_id, tags=filters.tags, any_tags=filters.any_tags)
    extent = await selections.extent(conn, selection)
    if extent == "none":
        return []
    query, parameters = page_of(filters, selection, extent, before=before)
    return await occurrences.select(conn, query, parameters | {"limit": limit})


def page_of(
    filters: Filters, selection: Selection, extent: Extent, *, before: UUID | None
) -> tuple[LiteralString, dict[str, object]]:
    """Return the query for a page, and its parameters but `limit`.

    Each condition is there only when it is needed, so that every query has a plan of its own.
    """
    of_events, in_selection, parameters = _selected(selection, extent)
    asked = _asked(filters, before, parameters)
    in_span = _spanned(filters, parameters)
    if extent == "few":
        events = EVENTS + of_events + OF_EACH + asked + in_span + NEWEST_ONE + NEWEST
        ids = LIVE + in_selection + asked + in_span + FINISHED + events + OF_EACH + asked + in_span + NEWEST_PAGE
    else:
        ids = "(" + ALL + in_selection + asked + in_span + NEWEST + ")"
    if in_span:
        ids = WITH_MOVED + ALL + in_selection + asked + MOVED + AND_MOVED + ids + ") AS o"
    return occurrences.SELECT + PAGE + ids + ") AS o" + NEWEST + "))" + NEWEST, parameters


def _selected(selection: Selection, extent: Extent) -> tuple[LiteralString, LiteralString, dict[str, object]]:
    """Return the query for the events' ids, what is asked of an occurrence's event, and the parameters."""
    condition, parameters = selections.condition(selection)
    of_events = selections.IDS + condition
    if not condition:
        return of_events, "", parameters
    match extent:
        case "none" | "few":
            return of_events, OF_FEW + of_events + "))", parameters
        case "some":
            return of_events, OF_SOME + of_events + ")) IS TRUE", parameters
        case "many":
            return of_events, OF_MANY + condition + ")", parameters


def _asked(filters: Filters, before: UUID | None, parameters: dict[str, object]) -> LiteralString:
    """Return what is asked of every occurrence besides."""
    asked: LiteralString = ""
    if filters.status is not None:
        asked += STATUS
        parameters |= {"status": filters.status, "finished": filters.status in _FINAL}
    if before is not None:
        asked += BEFORE
        parameters["before"] = before
    return asked


def _spanned(filters: Filters, parameters: dict[str, object]) -> LiteralString:
    """Return what a span asks of those that are where their ids say."""
    if filters.scheduled_from is None and filters.scheduled_to is None:
        return ""
    parameters |= span_of(filters.scheduled_from or _EARLIEST, filters.scheduled_to or _LATEST)
    return IN_PLACE


def span_of(since: datetime, until: datetime) -> dict[str, object]:
    """Return the parameters of IN_PLACE and MOVED for a span, its end included.

    No id of the span is as high as the first of the millisecond `beyond` it. Computed here, for a planner makes no
    constant of an instant and an interval.
    """
    return {"scheduled_from": since, "scheduled_to": until, "beyond": until + timedelta(milliseconds=1)}
