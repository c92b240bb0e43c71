"""The same request sent again does nothing again, whatever happened to the first one."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest

from services.api.context import Context
from services.api.idempotency import request_hash
from shared.store import idempotency_keys
from shared.store.idempotency_keys import Key
from shared.store.pool import Connection
from tests.integration.api.client import Api, Json, assert_problem, event_body, pointers


async def send(api: Api, body: Json, key: str, path: str = "/events") -> httpx.Response:
    return await api.http.post(path, json=body, headers={"idempotency-key": key})


async def number_of(conn: Connection, table: str) -> int:
    counts = {"events": "SELECT count(*) FROM events", "deliveries": "SELECT count(*) FROM deliveries"}
    cursor = await conn.execute(counts[table].encode())
    [(found,)] = await cursor.fetchall()
    return found


async def test_a_repeated_create_is_answered_as_the_first_time(api: Api, conn: Connection) -> None:
    first = await send(api, event_body(), "a key")
    await api.change(first.json(), name="Changed since")

    again = await send(api, event_body(), "a key")

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    for header in ("location", "etag", "content-type"):
        assert again.headers[header] == first.headers[header]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert await number_of(conn, "events") == 1


async def test_a_repeated_trigger_is_one_occurrence(api: Api, conn: Connection) -> None:
    event = await api.create()
    path = f"/events/{event['id']}/trigger"

    first = await send(api, {"metadata": {"a": 1}}, "k", path)
    again = await send(api, {"metadata": {"a": 1}}, "k", path)

    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert await number_of(conn, "deliveries") == 2, "the event's own and one that was triggered"


async def test_how_the_json_is_written_makes_no_other_body(api: Api) -> None:
    body = event_body(metadata={"a": 1, "b": 2})
    first = await send(api, body, "k")

    again = await send(api, {name: body[name] for name in reversed(body)} | {"metadata": {"b": 2, "a": 1}}, "k")

    assert again.content == first.content


async def test_another_body_or_another_path_with_the_key_is_refused(api: Api) -> None:
    event = (await send(api, event_body(), "k")).json()

    for answer in (
        await send(api, event_body(name="Other"), "k"),
        await send(api, {}, "k", f"/events/{event['id']}/trigger"),
    ):
        assert pointers(assert_problem(answer, 422, "idempotency_key_reused")) == ["Idempotency-Key"]


async def test_a_time_that_has_passed_meanwhile_is_not_judged_again(
    api: Api, conn: Connection, context: Context
) -> None:
    body = {name: value for name, value in event_body(start_time="2020-01-01T00:00:00Z").items() if name != "in"}
    assert_problem(await send(api, body, "k"), 422)
    scope = (await api.limited_to("write", "*")).http.headers["authorization"]
    caller = context.doorkeeper.caller_of(scope)
    key = Key(sub=caller.sub, key="k", request_hash=request_hash("POST", "/events", body, caller))
    first = await api.http.post("/events", json=event_body())
    headers = {name: first.headers[name] for name in ("etag", "location")}
    await idempotency_keys.keep(conn, key, status_code=201, headers=headers, answer=first.content)

    answer = await api.http.post("/events", json=body, headers={"idempotency-key": "k", "authorization": scope})

    assert (answer.status_code, answer.content) == (201, first.content)


async def test_a_refused_request_leaves_the_key_free(api: Api) -> None:
    assert_problem(await send(api, event_body(name=""), "k"), 422)
    assert_problem(await api.http.post("/events", content=b"{", headers={"idempotency-key": "k"}), 400)

    assert (await send(api, event_body(), "k")).status_code == 201


async def test_a_key_belongs_to_its_sub_and_to_what_the_token_sees(api: Api, conn: Connection) -> None:
    body = event_body(tags=["a", "b"])
    alice, bob = await api.limited_to("write", "a", sub="alice"), await api.limited_to("write", "a", sub="bob")
    first = await send(alice, body, "k")

    assert (await send(bob, body, "k")).json()["id"] != first.json()["id"]
    assert (await send(await api.limited_to("write", "a", sub="alice"), body, "k")).content == first.content
    assert_problem(
        await send(await api.limited_to("write", "b", sub="alice"), body, "k"), 422, "idempotency_key_reused"
    )
    assert await number_of(conn, "events") == 2


async def test_a_key_is_free_again_after_a_day(api: Api, conn: Connection) -> None:
    first = await send(api, event_body(), "k")
    await conn.execute("UPDATE idempotency_keys SET created_at = now() - interval '24 hours 1 second'")

    second = await send(api, event_body(name="Other"), "k")
    again = await send(api, event_body(name="Other"), "k")

    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]
    assert again.content == second.content


async def test_while_the_first_is_still_running_the_second_is_a_409(api: Api, conn: Connection) -> None:
    key = Key(sub="master", key="k", request_hash=b"")
    async with conn.transaction():
        assert await idempotency_keys.try_lock(conn, key)

        assert_problem(await send(api, event_body(), "k"), 409, "idempotency_key_in_use")
        assert (await send(api, event_body(), "another")).status_code == 201

    assert (await send(api, event_body(), "k")).status_code == 201


async def test_fifty_at_once_with_one_key_create_one_event(api: Api, conn: Connection) -> None:
    sent = await asyncio.gather(*(send(api, event_body(), "k") for _ in range(50)))

    assert await number_of(conn, "events") == 1
    assert await number_of(conn, "deliveries") == 1
    statuses = Counter(answer.status_code for answer in sent)
    assert statuses[201] >= 1
    assert set(statuses) <= {201, 409}
    assert len({answer.content for answer in sent if answer.status_code == 201}) == 1
    assert sum(answer.status_code == 201 and "idempotency-replayed" not in answer.headers for answer in sent) == 1


async def test_what_fails_after_the_event_was_written_leaves_nothing(
    api: Api, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency_keys, "KEEP", "SELECT 1 / 0 -- %(sub)s")
    assert_problem(await send(api, event_body(), "k"), 500)
    monkeypatch.undo()

    assert await number_of(conn, "events") == 0
    assert (await send(api, event_body(), "k")).status_code == 201


@pytest.mark.parametrize("key", [b"", b"a" * 256, b"a\xe4", b"a\tb", b"\x7f"])
async def test_a_key_that_is_none_is_a_400(api: Api, conn: Connection, key: bytes) -> None:
    answer = await api.http.post("/events", json=event_body(), headers={b"idempotency-key": key})

    assert_problem(answer, 400, "malformed_request")
    assert await number_of(conn, "events") == 0


async def test_the_longest_key_is_good(api: Api) -> None:
    for _ in range(2):
        assert (await send(api, event_body(), "~" * 255)).status_code == 201
