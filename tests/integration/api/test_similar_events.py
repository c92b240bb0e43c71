"""Who schedules something again is told of what it has scheduled already."""

from __future__ import annotations

from typing import Any

import pytest

from shared.store.pool import Connection
from tests.integration.api.client import Api, event_body, ids

RULE = {"schedule": "FREQ=DAILY", "start_time": "2027-03-20T09:00:00Z"}


async def similar_to(api: Api, **fields: object) -> list[str]:
    """Create an event and return which others its answer names."""
    answer = await api.http.post("/events", json=event_body(**fields))
    assert answer.status_code == 201, answer.text
    return answer.json()["similar_events"]


async def test_an_event_with_the_same_name_rule_and_url_is_named_the_newest_first(api: Api) -> None:
    assert await similar_to(api, **RULE) == []
    [first] = ids((await api.read("/events"))["data"])

    second = (await api.http.post("/events", json=event_body(**RULE, metadata={"other": True}))).json()

    assert second["similar_events"] == [first]
    assert await similar_to(api, **{**RULE, "start_time": "2027-04-01T10:00:00Z"}) == [second["id"], first]


@pytest.mark.parametrize(
    "other",
    [{"name": "Other"}, {"schedule": "FREQ=WEEKLY"}, {"schedule": None}, {"webhook_url": "https://other.example/"}],
    ids=str,
)
async def test_another_name_rule_or_url_makes_another_event(api: Api, other: dict[str, Any]) -> None:
    await api.create(**RULE)

    assert await similar_to(api, **{**RULE, **other}) == []


async def test_only_live_events_of_the_same_sub_count_as_they_are_now(api: Api) -> None:
    alice, bob = await api.limited_to("write", "*", sub="alice"), await api.limited_to("write", "*", sub="bob")
    deleted, renamed = await alice.create(), await alice.create()
    await alice.http.delete(f"/events/{deleted['id']}")
    await alice.change(renamed, name="Other")

    assert await similar_to(alice) == []
    assert len(await similar_to(alice, name="Other")) == 1
    assert await similar_to(bob) == []


async def test_no_more_than_ten_are_named(api: Api) -> None:
    made = [await api.create() for _ in range(12)]

    assert await similar_to(api) == ids(made)[:1:-1]


async def test_a_change_and_a_read_name_none(api: Api) -> None:
    event = await api.create()

    assert "similar_events" not in await api.read(f"/events/{event['id']}")
    assert "similar_events" not in await api.change(event, name="New")


async def test_looking_for_them_goes_by_an_index_however_many_there_are(conn: Connection) -> None:
    await conn.execute("""
        INSERT INTO events (id, name, webhook_url, created_by, likeness)
        SELECT gen_random_uuid(), 'x', 'https://x.example/', 'alice', likeness_of('x', 'https://x.example/', NULL)
          FROM generate_series(1, 20000)
    """)
    await conn.execute("ANALYZE events")
    cursor = await conn.execute("""
        EXPLAIN SELECT id FROM events AS twin
         WHERE created_by = 'alice' AND likeness = likeness_of('x', 'https://x.example/', NULL) AND status <> 'deleted'
         ORDER BY id DESC LIMIT 10
    """)
    plan = "\n".join(row[0] for row in await cursor.fetchall())

    assert "Scan Backward using events_likeness" in plan
    assert "Sort" not in plan
