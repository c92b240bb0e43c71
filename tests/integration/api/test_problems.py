"""Every error: its status, its content type, its code, and what helps to repair the request."""

from __future__ import annotations

import asyncio
import json
import re
import uuid

import pytest

from services.api import app as application
from services.api.context import Context
from shared import readiness
from shared.store.pool import open_pool
from shared.stream.client import open_client
from tests.integration.api.client import (
    MASTER,
    Api,
    assert_problem,
    event_body,
    pointers,
)

UNKNOWN = str(uuid.uuid4())
IN_JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("body", [b"{", b"nonsense", b"\xff", b'{"name": "\\ud800"}', b"[" * 100_000, b'{"a": 1e999}'])
async def test_what_is_not_json_is_400(api: Api, body: bytes) -> None:
    answer = await api.http.post("/events", content=body, headers={"content-type": "application/json"})

    assert_problem(answer, 400, "malformed_request")


@pytest.mark.parametrize(
    "metadata",
    [
        rb'{"\ud800": 1}', rb'{"a": "\udc00"}', b'{"\xed\xa0\x80": 1}', b'{"a": NaN}', b'{"a": Infinity}',
        b'{"a": 1e400}', b'{"a": -1e400}', b'{"a": 01}', b'{"a": +1}', b'{"a": .5}', b'{"a": 1,}', b"{'a': 1}",
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a":' * 100_000,
    ],
    ids=lambda raw: repr(raw[:30]),
)  # fmt: skip
async def test_metadata_that_is_not_json_is_400(api: Api, metadata: bytes) -> None:
    body = json.dumps(event_body()).encode()[:-1] + b', "metadata": ' + metadata + b"}"

    assert_problem(await api.http.post("/events", content=body, headers=IN_JSON), 400, "malformed_request")


@pytest.mark.parametrize(
    ("metadata", "read"),
    [
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": -0}', {"a": 0}),
        (b'{"a": 1e300}', {"a": 1e300}),
        (b'{"a": 18446744073709551615}', {"a": 2**64 - 1}),
        (rb'{"\ud83e\udd8a": 1}', {"\U0001f98a": 1}),
        (b'{"": 1}', {"": 1}),
    ],
    ids=repr,
)
async def test_odd_json_is_read_as_everybody_reads_it(api: Api, metadata: bytes, read: dict[str, object]) -> None:
    body = json.dumps(event_body()).encode()[:-1] + b', "metadata": ' + metadata + b"}"

    answer = await api.http.post("/events", content=body, headers=IN_JSON)

    assert (answer.status_code, answer.json()["metadata"]) == (201, read)


async def test_a_body_behind_a_byte_order_mark_or_in_utf_16_is_400(api: Api) -> None:
    body = json.dumps(event_body())
    for encoding in ("utf-8-sig", "utf-16"):
        assert_problem(await api.http.post("/events", content=body.encode(encoding), headers=IN_JSON), 400)


async def test_no_body_is_read_as_an_empty_object(api: Api) -> None:
    event = await api.create()

    errors = assert_problem(await api.http.post("/events"), 422, "validation_failed")

    assert set(pointers(errors)) == {"/name", "/webhook_url", "/start_time"}
    assert (await api.http.post(f"/events/{event['id']}/pause")).status_code == 200


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"1"])
async def test_json_that_is_no_object_is_422(api: Api, body: bytes) -> None:
    answer = await api.http.post("/events", content=body, headers={"content-type": "application/json"})

    assert pointers(assert_problem(answer, 422, "validation_failed")) == [""]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
@pytest.mark.parametrize(("method", "path"), [("POST", "/events"), ("POST", "/tokens"), ("PATCH", "/events/{id}")])
async def test_a_body_that_does_not_say_that_it_is_json_is_415(
    api: Api, content_type: str, method: str, path: str
) -> None:
    path = path.format(id=(await api.create())["id"])

    answer = await api.http.request(method, path, content=b"{}", headers={"content-type": content_type})

    assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/merge-patch+json", None])
async def test_json_by_any_of_its_names_is_read(api: Api, content_type: str | None) -> None:
    event = await api.create()
    headers = {"content-type": content_type} if content_type else {}

    answer = await api.http.patch(f"/events/{event['id']}", content=b'{"name": "New"}', headers=headers)

    assert (answer.status_code, answer.json()["name"]) == (200, "New")


async def test_a_body_over_one_mebibyte_is_413_and_one_below_is_read(api: Api) -> None:
    def padded(size: int) -> bytes:
        return b'{"x":"' + b"a" * (size - 8) + b'"}'

    headers = {"content-type": "application/json"}
    assert_problem(await api.http.post("/events", content=padded(2**20 + 1), headers=headers), 413, "body_too_large")
    assert_problem(await api.http.post("/events", content=padded(2**20), headers=headers), 422)


@pytest.mark.parametrize("path", ["/", "/nope", "/events/x/y/z", "/Events", "/%00", "/events/../nope"])
async def test_an_unknown_path_is_404_with_or_without_a_token(api: Api, path: str) -> None:
    for token in (MASTER, None):
        assert_problem(await api.bearing(token).http.get(path), 404, "route_not_found")


@pytest.mark.parametrize("id_", [UNKNOWN, "nope", "1", "a" * 500, "%00", "%F0%9F%A6%8A"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/events/{id}"),
        ("PUT", "/events/{id}"),
        ("PATCH", "/events/{id}"),
        ("POST", "/events/{id}/trigger"),
        ("GET", "/events/{id}/upcoming"),
        ("GET", "/events/{id}/occurrences"),
    ],
)
async def test_an_unknown_or_malformed_event_id_is_404(api: Api, method: str, path: str, id_: str) -> None:
    body: dict[str, object] | None = None if method == "GET" else {}

    assert_problem(await api.http.request(method, path.format(id=id_), json=body), 404, "event_not_found")


@pytest.mark.parametrize("id_", [UNKNOWN, "nope"])
@pytest.mark.parametrize("path", ["/occurrences/{id}", "/occurrences/{id}/attempts"])
async def test_an_unknown_or_malformed_occurrence_id_is_404(api: Api, path: str, id_: str) -> None:
    assert_problem(await api.http.get(path.format(id=id_)), 404, "occurrence_not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/events"), ("POST", "/occurrences"), ("POST", "/health"), ("PUT", "/events")],
)
async def test_a_method_that_a_path_does_not_know_is_405(api: Api, method: str, path: str) -> None:
    answer = await api.http.request(method, path)

    assert_problem(answer, 405, "method_not_allowed")
    assert "allow" in answer.headers


async def test_all_errors_of_a_body_are_answered_at_once_with_help(api: Api) -> None:
    body = {
        "name": "",
        "nope": 1,
        "start_time": "tomorrow",
        "timezone": "Europe/Pariss",
        "schedule": "FREQ=SOMETIMES",
        "webhook_url": "ftp://example.com",
        "headers": {"Host": "a"},
        "timeout": "PT2M",
        "retry": {"max_attempts": 0, "delays": ["soon"]},
        "hmac_secret": "short",
        "tags": ["good", "not good"],
    }

    errors = assert_problem(await api.http.post("/events", json=body), 422, "validation_failed")

    assert set(pointers(errors)) >= {
        "/name", "/nope", "/start_time", "/timezone", "/schedule", "/webhook_url", "/headers/Host", "/timeout",
        "/retry/max_attempts", "/hmac_secret", "/tags/1",
    }  # fmt: skip
    assert all(error["message"] for error in errors)
    unhelpful = [error["pointer"] for error in errors if not error.get("hint") and "example" not in error]
    assert unhelpful == []


@pytest.mark.parametrize("name", ["id", "status", "version", "created_at", "next_at", "has_hmac_secret", "Name"])
async def test_an_unknown_or_only_answered_field_is_refused_by_name(api: Api, name: str) -> None:
    errors = assert_problem(await api.http.post("/events", json=event_body() | {name: None}), 422)

    assert pointers(errors) == [f"/{name}"]


async def test_examples_of_errors_would_pass(api: Api) -> None:
    bad = {
        "name": "",
        "start_time": "tomorrow",
        "timezone": "Europe/Pariss",
        "schedule": "FREQ=SOMETIMES",
        "webhook_url": "http://10.0.0.1/",
        "timeout": "PT2M",
        "hmac_secret": "short",
    }
    errors = assert_problem(await api.http.post("/events", json=bad), 422)
    examples = {error["pointer"].removeprefix("/"): error["example"] for error in errors}
    assert examples.keys() == bad.keys()

    answer = await api.http.post("/events", json=examples)

    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/events?limit=0", "limit"),
        ("/events?limit=201", "limit"),
        ("/events?limit=ten", "limit"),
        ("/events?limit=1&limit=2", "limit"),
        ("/events?limit=99999999999999999999999", "limit"),
        ("/events?status=gone", "status"),
        ("/events?cursor=", "cursor"),
        ("/events?cursor=AAAA", "cursor"),
        ("/events?cursor=!!!", "cursor"),
        ("/events?created_after=yesterday", "created_after"),
        ("/events?created_before=2027-01-01T00:00:00", "created_before"),
        ("/occurrences?limit=0", "limit"),
        ("/occurrences?status=active", "status"),
        ("/occurrences?from=now", "from"),
        ("/occurrences?to=2027-13-01T00:00:00Z", "to"),
        ("/occurrences?cursor=AAAA", "cursor"),
        ("/events/{id}/occurrences?cursor=AAAA", "cursor"),
        ("/events/{id}/upcoming?limit=1001", "limit"),
        ("/events/{id}/upcoming?from=x", "from"),
        ("/occurrences/{occurrence}/attempts?cursor=AAAA", "cursor"),
    ],
)
async def test_a_bad_parameter_is_422_and_named(api: Api, path: str, pointer: str) -> None:
    event = await api.create()
    path = path.format(id=event["id"], occurrence=event["upcoming"][0]["occurrence_id"])

    assert pointers(assert_problem(await api.http.get(path), 422, "validation_failed")) == [pointer]


async def test_a_cursor_of_another_list_is_422(api: Api) -> None:
    for _ in range(2):
        await api.create()
    cursor = (await api.read("/events", limit=1))["next_cursor"]

    answer = await api.http.get("/occurrences", params={"cursor": cursor})

    assert pointers(assert_problem(answer, 422)) == ["cursor"]


@pytest.mark.parametrize("path", ["/health", "/events", "/nope", "/docs"])
async def test_a_sane_request_id_comes_back_and_any_other_is_replaced(api: Api, path: str) -> None:
    for id_ in ("a", "trace-1/2;3", "x" * 128):
        answer = await api.http.get(path, headers={"x-request-id": id_})
        assert answer.headers.get_list("x-request-id") == [id_]
    for bad in (b"", b"x" * 129, b"two words", "\xe9t\xe9".encode("latin-1")):
        answer = await api.http.get(path, headers={b"x-request-id": bad})
        assert re.fullmatch(r"[0-9a-f-]{32,36}", answer.headers["x-request-id"])


async def test_postgresql_out_of_reach_is_503_with_retry_after(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "_PATIENCE", 2.0)
    async with open_pool("postgresql://nobody@/none?host=/nonexistent", name="test", size=1) as pool:
        pool.timeout = 0.05
        api = Api(application.build(Context(context.config, pool, context.redis)), MASTER)

        for answer in await asyncio.gather(api.http.get("/events"), api.http.post("/events", json=event_body())):
            assert_problem(answer, 503, "unavailable")
            assert int(answer.headers["retry-after"]) >= 1
        ready = await api.http.get("/ready")
        assert (ready.status_code, ready.json()["postgres"], ready.json()["redis"]) == (503, "unreachable", "ok")
        assert (await api.http.get("/health")).status_code == 200
        assert (await api.http.get("/status")).status_code == 200


async def test_redis_out_of_reach_stops_no_write_but_readiness(context: Context) -> None:
    async with open_client("unix:///nonexistent.sock") as redis:
        api = Api(application.build(Context(context.config, context.pool, redis)), MASTER)

        await api.create(in_="PT0S")
        ready = await api.http.get("/ready")
        assert (ready.status_code, ready.json()["redis"], ready.json()["postgres"]) == (503, "unreachable", "ok")
