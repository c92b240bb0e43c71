"""Pages of occurrences are what a plain filter over all of them says, by whichever way they are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import product
from typing import LiteralString
from uuid import UUID

import msgspec
import pytest

from shared.domain.ids import EventId
from shared.store import occurrence_lists, selections
from shared.store.occurrence_lists import Filters
from shared.store.pool import Connection
from shared.store.sight import Sight
from tests.factories import DAY, HOUR, MINUTE, NOON, an_event, content_of

EVERY = Sight(every=True)
ALICE = Sight(prefixes=["user:alice:"])
BOB_OR_TEAM = Sight(tags=["user:bob"], prefixes=["team:"])
NOBODY = Sight(prefixes=["nobody:"])
TAGS = [("user:alice:phone", "a"), ("user:alice:desk", "a", "b"), ("user:bob", "b"), ("team:red", "a"), ()]
STATUSES = ["scheduled", "queued", "retrying", "delivered", "failed", "missed"]

# Of each event, one of every status each hour; every fifth is due three days after the time that its id begins with.
LIVE: LiteralString = """
    INSERT INTO deliveries (occurrence_id, event_id, event_version, next_at, due_at, scheduled_at, epoch, chained,
                            leased, attempts)
    VALUES (%(id)s, %(event_id)s, 1, %(at)s, %(at)s, %(at)s, 1, false, %(status)s = 'queued',
            CASE %(status)s WHEN 'retrying' THEN 1 ELSE 0 END)
"""
FINISHED: LiteralString = """
    INSERT INTO occurrences (id, event_id, event_version, scheduled_at, status, epoch, attempt_count, created_at)
    VALUES (%(id)s, %(event_id)s, 1, %(at)s, %(status)s, 1, 1, %(at)s)
"""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An occurrence and its event's tags."""

    id: UUID
    event_id: EventId
    at: datetime
    status: str
    tags: tuple[str, ...]


@pytest.fixture
async def rows(conn: Connection) -> list[Row]:
    """All occurrences that there are, the newest first."""
    rows: list[Row] = []
    for number, tags in enumerate(TAGS):
        event = await an_event(conn, msgspec.structs.replace(content_of(), tags=tags))
        for turn, status in enumerate(STATUSES * 2):
            nominal = NOON + turn * HOUR + number * MINUTE
            milliseconds = int(nominal.timestamp() * 1000)
            at = nominal + 3 * DAY if len(rows) % 5 == 0 else nominal
            id_ = UUID(int=(milliseconds << 80) + len(rows))
            rows.append(Row(id=id_, event_id=event.id, at=at, status=status, tags=tags))
    for row in rows:
        statement = LIVE if row.status in ("scheduled", "queued", "retrying") else FINISHED
        await conn.execute(statement, msgspec.structs.asdict(row))
    return sorted(rows, key=lambda row: row.id, reverse=True)


def passes(filters: Filters, sight: Sight) -> Callable[[Row], bool]:
    def pass_(row: Row) -> bool:
        seen = sight.every or any(tag in sight.tags or tag.startswith(tuple(sight.prefixes)) for tag in row.tags)
        return (
            seen
            and filters.event_id in (None, row.event_id)
            and set(filters.tags or ()) <= set(row.tags)
            and (filters.any_tags is None or not set(filters.any_tags).isdisjoint(row.tags))
            and filters.status in (None, row.status)
            and (filters.scheduled_from is None or filters.scheduled_from <= row.at)
            and (filters.scheduled_to is None or row.at <= filters.scheduled_to)
        )

    return pass_


async def pages(conn: Connection, filters: Filters, sight: Sight) -> list[list[UUID]]:
    """Follow a list to its end."""
    found: list[list[UUID]] = []
    before = None
    while page := await occurrence_lists.newest(conn, filters, sight=sight, before=before, limit=7):
        found.append([occurrence.id for occurrence in page])
        before = page[-1].id
    return found


def spans() -> Iterable[dict[str, datetime]]:
    start, end = NOON + 2 * HOUR, NOON + 5 * HOUR
    yield {}
    yield {"scheduled_from": start}
    yield {"scheduled_to": end}
    yield {"scheduled_from": start, "scheduled_to": end}
    yield {"scheduled_from": NOON + 3 * DAY, "scheduled_to": NOON + 4 * DAY}
    yield {"scheduled_from": end, "scheduled_to": start}


@pytest.mark.parametrize(("few", "some"), [(500, 5000), (0, 5000), (0, 0)], ids=["few", "some", "many"])
async def test_pages_are_what_a_filter_over_all_of_them_says(
    conn: Connection, rows: list[Row], monkeypatch: pytest.MonkeyPatch, few: int, some: int
) -> None:
    monkeypatch.setattr(selections, "FEW", few)
    monkeypatch.setattr(selections, "SOME", some)
    of_events: list[dict[str, object]] = [
        {}, {"tags": ["a"]}, {"tags": ["a", "b"]}, {"any_tags": ["b", "team:red"]}, {"event_id": rows[0].event_id},
        {"tags": []}, {"any_tags": []}, {"any_tags": ["user:*"]},
    ]  # fmt: skip
    statuses = [None, "queued", "failed", "delivered", "skipped"]
    for sight, event, status, span in product((EVERY, ALICE, BOB_OR_TEAM, NOBODY), of_events, statuses, spans()):
        filters = msgspec.convert({**event, "status": status, **span}, Filters)

        found = await pages(conn, filters, sight)

        expected = [row.id for row in rows if passes(filters, sight)(row)]
        assert [id_ for page in found for id_ in page] == expected, (sight, filters)
        assert all(len(page) == 7 for page in found[:-1]), "a page is short that is not the last"
