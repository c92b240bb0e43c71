"""Whoever changes something leaves a trail, under the id that the log gives to the request."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from shared.store import audit
from shared.store.pool import Connection
from tests.integration.api.client import Api, assert_problem

DAILY = {"schedule": "FREQ=DAILY", "start_time": "2027-03-22T09:00:00Z"}


async def trail(conn: Connection) -> list[tuple[Any, ...]]:
    cursor = await conn.execute(
        "SELECT action, sub, request_id, event_id::text, occurrence_id::text, token_id::text FROM audit ORDER BY ctid"
    )
    return await cursor.fetchall()


async def test_every_version_names_the_request_that_made_it(api: Api, conn: Connection) -> None:
    path = "/events/" + (await api.create())["id"]
    steps: list[tuple[str, str, dict[str, object] | None]] = [
        ("PATCH", path, {"name": "New"}),
        ("POST", path + "/pause", None),
        ("POST", path + "/resume", None),
        ("POST", path + "/secret/rotate", None),
        ("DELETE", path, None),
        ("POST", path + "/versions/1/restore", None),
    ]
    for number, (method, target, body) in enumerate(steps):
        answer = await api.http.request(method, target, json=body, headers={"x-request-id": f"step-{number}"})
        assert answer.status_code < 300, answer.text

    cursor = await conn.execute("SELECT request_id FROM event_versions ORDER BY version")

    found = [row[0] for row in await cursor.fetchall()]
    assert found[1:] == [f"step-{number}" for number in range(len(steps))]
    assert found[0]


async def test_what_makes_no_version_is_written_down(api: Api, conn: Connection) -> None:
    alice = await api.limited_to("write", "*", sub="alice")
    event = await alice.create(**DAILY)
    coming = event["upcoming"][1]
    path = f"/events/{event['id']}"
    override = f"{path}/overrides/{coming['recurrence_id']}"

    async def ask(method: str, target: str, body: object = None) -> httpx.Response:
        answer = await alice.http.request(method, target, json=body, headers={"x-request-id": "r"})
        assert answer.status_code < 300, answer.text
        return answer

    triggered = (await ask("POST", path + "/trigger", {"metadata": {"password": "hush"}})).json()["id"]
    await ask("PUT", override, {"metadata": {"password": "hush"}})
    await ask("DELETE", override)
    await ask("POST", f"/occurrences/{triggered}/cancel")
    await ask("POST", f"/occurrences/{triggered}/replay")
    bulk = {"status": "failed", "from": "2027-03-20T00:00:00Z", "to": "2027-03-21T00:00:00Z"}
    await ask("POST", "/occurrences/replay", bulk)
    await ask("POST", "/occurrences/replay", bulk | {"dry_run": True})

    created, *rest = await trail(conn)
    assert (created[0], created[1]) == ("token.created", "master")
    assert created[-1] is not None
    assert rest == [
        ("event.triggered", "alice", "r", event["id"], triggered, None),
        ("override.changed", "alice", "r", event["id"], None, None),
        ("override.dropped", "alice", "r", event["id"], None, None),
        ("occurrence.cancelled", "alice", "r", event["id"], triggered, None),
        ("occurrence.replayed", "alice", "r", event["id"], triggered, None),
        ("occurrences.replayed", "alice", "r", None, None, None),
    ]
    cursor = await conn.execute("SELECT string_agg(details::text, '') FROM audit")
    [(details,)] = await cursor.fetchall()
    assert "hush" not in details
    assert "eyJ" not in details, "the text of a token"


async def test_what_is_refused_or_read_leaves_no_entry(api: Api, conn: Connection) -> None:
    event = await api.create()
    occurrence = event["upcoming"][0]["occurrence_id"]

    assert_problem(await api.http.post(f"/occurrences/{occurrence}/replay"), 409)
    await api.read(f"/occurrences/{occurrence}")

    assert await trail(conn) == []


async def test_an_entry_and_what_it_tells_of_come_together_or_not_at_all(
    api: Api, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await api.create()
    monkeypatch.setattr(audit, "INSERT", "SELECT 1 / 0 -- %(sub)s")

    assert_problem(await api.http.post(f"/events/{event['id']}/trigger"), 500)

    assert len(await api.occurrences_of(event)) == 1
    assert await trail(conn) == []


async def test_deleted_events_are_listed_when_asked_for_with_who_created_them(api: Api) -> None:
    alice = await api.limited_to("write", "*", sub="alice")
    gone, there = await alice.create(), await alice.create()
    await alice.http.delete(f"/events/{gone['id']}")

    [deleted] = (await api.read("/events", status="deleted"))["data"]
    [live] = (await api.read("/events"))["data"]

    assert (deleted["id"], deleted["status"], deleted["created_by"]) == (gone["id"], "deleted", "alice")
    assert (live["id"], live["created_by"]) == (there["id"], "alice")
