from __future__ import annotations

import msgspec
import pytest

from shared.store import selections
from shared.store.pool import Connection
from shared.store.selections import Selection
from shared.store.sight import Sight
from tests.factories import an_event, content_of

EVERY = Sight(every=True)
TAGS = ["a", "a:", "a:b", "b:a:b", "::", ":::x", "a:b:c:d", "a:b:c:d:e", "a:b:c:d:e:f", "a:b:c:d:e:f:g:h:", "é:ß:x"]


async def tagged(conn: Connection, *tags: str) -> None:
    await an_event(conn, msgspec.structs.replace(content_of(), tags=tags))


async def test_an_event_is_seen_by_every_beginning_of_its_tags_that_ends_in_a_colon(conn: Connection) -> None:
    prefixes = {tag[: n + 1] for tag in [*TAGS, "b:", "x:y:z:x:y:z:"] for n, char in enumerate(tag) if char == ":"}
    for tag in TAGS:
        await tagged(conn, "other", tag)

    for prefix in prefixes:
        query, parameters = selections.condition(Selection(sight=Sight(prefixes=["nobody:", prefix])))
        cursor = await conn.execute("SELECT e.tags[2] FROM events AS e WHERE TRUE" + query, parameters)

        assert {row[0] for row in await cursor.fetchall()} == {tag for tag in TAGS if tag.startswith(prefix)}, prefix


async def test_the_beginnings_follow_a_change_of_the_tags(conn: Connection) -> None:
    await tagged(conn, "user:alice")
    await conn.execute("UPDATE events SET tags = ARRAY['team:red']")

    assert await selections.extent(conn, Selection(sight=Sight(prefixes=["user:"]))) == "none"
    assert await selections.extent(conn, Selection(sight=Sight(prefixes=["team:"]))) == "few"


async def test_colons_alone_do_not_make_a_row_large(conn: Connection) -> None:
    await tagged(conn, *(f"{n}:".ljust(128, ":") for n in range(64)))

    cursor = await conn.execute("SELECT cardinality(prefixes) FROM events")

    assert await cursor.fetchall() == [(64 * 4,)]


async def test_an_extent_is_counted_no_further_than_it_matters(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selections, "FEW", 1)
    monkeypatch.setattr(selections, "SOME", 2)
    for tags in [("a",), ("a", "b"), ("a", "b", "c")]:
        await tagged(conn, *tags)

    found = {tag: await selections.extent(conn, Selection(sight=EVERY, tags=[tag])) for tag in "abcd"}

    assert found == {"a": "many", "b": "some", "c": "few", "d": "none"}
    assert await selections.extent(conn, Selection(sight=EVERY)) == "many"
    assert await selections.extent(conn, Selection(sight=Sight())) == "none"
