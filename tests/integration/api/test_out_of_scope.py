"""What is out of a token's scope leaves no trace in lists: not in pages, cursors, filters, nor in what is counted."""

from __future__ import annotations

import base64
from datetime import datetime
from itertools import product
from uuid import UUID, uuid4

import msgspec
import pytest

from services.api import cursors
from tests.integration.api.client import Api, Json, assert_problem, event_body, ids

LISTS = ["/events", "/occurrences"]
SPAN = {"from": "2027-01-01T00:00:00Z", "to": "2027-12-31T00:00:00Z"}


class World(msgspec.Struct, frozen=True):
    """Alice's events, every other day in March, and Bob's between them. Each one's first is paused: nothing waits."""

    alice: Api
    bob: Api
    alices: list[Json]
    bobs: list[Json]

    def alices_own(self, path: str) -> list[str]:
        """Return the ids of what Alice's list holds, the newest first."""
        return ids(self.alices[::-1]) if path == "/events" else _occurrences(self.alices[1:])[::-1]


def _occurrences(events: list[Json]) -> list[str]:
    return [event["upcoming"][0]["occurrence_id"] for event in events]


@pytest.fixture
async def world(api: Api) -> World:
    alices: list[Json] = []
    bobs: list[Json] = []
    for day in range(10, 22):
        mine, owner = (alices, "alice") if day % 2 else (bobs, "bob")
        fields = event_body(
            name=f"Report of {owner}", start_time=f"2027-03-{day}T00:00:00Z", tags=[f"user:{owner}:{day}", owner]
        )
        mine.append(await api.create(**fields))
    for event in (bobs[0], alices[0]):
        await api.http.post(f"/events/{event['id']}/pause", json={})
    for event in (bobs[2], bobs[3], alices[1]):
        await api.http.post(f"/occurrences/{event['upcoming'][0]['occurrence_id']}/cancel")
    alice = await api.limited_to("write", "user:alice:*")
    bob = await api.limited_to("write", "user:bob:*", sub="bob")
    return World(alice, bob, alices, bobs)


@pytest.mark.parametrize("path", LISTS)
async def test_pages_are_full_and_the_last_has_no_cursor(world: World, path: str) -> None:
    pages = await world.alice.all_pages(path, limit=2)

    assert [ids(page) for page in pages] == [world.alices_own(path)[n : n + 2] for n in (0, 2, 4)]


@pytest.mark.parametrize("path", LISTS)
async def test_a_cursor_of_another_tenant_tells_nothing_of_what_is_theirs(world: World, path: str) -> None:
    own = world.alices_own(path)
    for limit in range(1, 5):
        cursor = (await world.bob.read(path, limit=limit))["next_cursor"]

        page = await world.alice.read(path, cursor=cursor)

        # Alice's and Bob's alternate, Alice's newest being the newest of all.
        assert ids(page["data"]) == own[limit:]
        assert page["next_cursor"] is None


@pytest.mark.parametrize("path", LISTS)
async def test_a_cursor_made_up_of_what_is_anothers_is_as_one_of_what_is_nobodys(world: World, path: str) -> None:
    theirs = world.bobs[3]
    made_at = datetime.fromisoformat(theirs["created_at"])
    id_ = UUID(theirs["id"] if path == "/events" else theirs["upcoming"][0]["occurrence_id"])
    answers: list[Json] = []
    for each in (id_, UUID(int=id_.int ^ 1)):
        cursor = cursors.encode((made_at, each) if path == "/events" else each)
        answers.append(await world.alice.read(path, cursor=cursor, limit=2))

    assert answers[0] == answers[1]
    assert set(ids(answers[0]["data"])) <= set(world.alices_own(path))


@pytest.mark.parametrize("path", LISTS)
async def test_a_tampered_cursor_is_refused_or_shows_only_what_is_in_scope(world: World, path: str) -> None:
    cursor = (await world.bob.read(path, limit=2))["next_cursor"]
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    statuses: set[int] = set()
    for at, flipped in product(range(len(raw)), (0x01, 0x10, 0x80)):
        tampered = base64.urlsafe_b64encode(raw[:at] + bytes([raw[at] ^ flipped]) + raw[at + 1 :]).decode().rstrip("=")

        answer = await world.alice.http.get(path, params={"cursor": tampered})

        statuses.add(answer.status_code)
        if answer.status_code == 200:
            assert set(ids(answer.json()["data"])) <= set(world.alices_own(path))
        else:
            assert_problem(answer, 422)
    assert statuses == {200, 422}


async def test_a_filter_finds_only_what_is_in_scope(world: World) -> None:
    filters: list[tuple[str, dict[str, str], int]] = [
        ("/events", {"tags": "bob"}, 0),
        ("/events", {"any_tags": "bob,alice"}, 6),
        ("/events", {"tags": "user:*"}, 0),
        ("/events", {"any_tags": "user:bob:,user:alice:"}, 0),
        ("/events", {"name": "of bob"}, 0),
        ("/events", {"name": "REPORT"}, 6),
        ("/events", {"status": "paused"}, 1),
        ("/events", {"status": "disabled"}, 0),
        ("/events", {"created_after": "2020-01-01T00:00:00Z"}, 6),
        ("/occurrences", {"tags": "bob"}, 0),
        ("/occurrences", {"any_tags": "bob,alice"}, 5),
        ("/occurrences", {"status": "cancelled"}, 1),
        ("/occurrences", {"status": "scheduled"}, 4),
        ("/occurrences", SPAN, 5),
        ("/occurrences", {"from": "2027-03-12T00:00:00Z", "to": "2027-03-12T23:00:00Z"}, 0),
    ]
    for path, params, mine in filters:
        page = await world.alice.read(path, **params, limit=max(mine, 1))

        assert len(page["data"]) == mine, (path, params)
        assert page["next_cursor"] is None, (path, params)
        assert set(ids(page["data"])) <= set(world.alices_own(path))


async def test_an_event_of_another_is_as_unknown_as_one_that_is_not_there(world: World) -> None:
    theirs, nobodys = world.bobs[2]["id"], str(uuid4())
    for path, params in (("/occurrences", {}), ("/occurrences", {"status": "cancelled", "tags": "bob", **SPAN})):
        answers = [await world.alice.read(path, event_id=id_, **params) for id_ in (theirs, nobodys)]

        assert answers == [{"data": [], "next_cursor": None}] * 2
    for id_ in (theirs, nobodys):
        assert_problem(await world.alice.http.get(f"/events/{id_}/occurrences"), 404, "event_not_found")


async def test_a_bulk_replay_counts_only_what_is_in_scope(world: World) -> None:
    everything: Json = {"status": "cancelled", **SPAN}
    narrowed: list[tuple[Json, int]] = [
        ({}, 1),
        ({"tags": ["alice"]}, 1),
        ({"tags": ["bob"]}, 0),
        ({"event_id": world.bobs[2]["id"]}, 0),
        ({"event_id": str(uuid4())}, 0),
    ]
    for by, mine in narrowed:
        for dry_run in (True, False):
            body = {**everything, **by, "dry_run": dry_run}
            answer = await world.alice.http.post("/occurrences/replay", json=body)

            assert (answer.status_code, answer.json()) == (202, {"matched": mine}), body
