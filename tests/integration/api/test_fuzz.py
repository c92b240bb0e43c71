"""Nothing that a client sends may be answered with a 500, and every error is a problem document."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote, urlencode

import jwt
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from litestar.types import ASGIApp

from services.api import app as application
from services.api import bodies, cursors
from tests.factories import NOON
from tests.integration.api.client import MASTER, SIGNING_KEY, Api, as_read, assert_problem, event_body, pointers

fuzzed = settings(
    max_examples=300,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # to shrink a failure would take longer than a test may
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

words = st.sampled_from(
    [
        "", "\0", "a\0b", "a" * 300, "2027-03-20T09:00:00Z", "9998-12-31T23:59:59-23:59", "1900-01-01T00:00:00+23:59",
        "PT5M", "P1W", "P", "UTC", "Asia/Gaza", "../../etc/passwd", "active", "FREQ=DAILY", "FREQ=HOURLY;COUNT=9",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "RRULE:FREQ=MONTHLY;BYSETPOS=-1;BYDAY=MO,TU", "FREQ=DAILY;UNTIL=x",
        "{{", "{{nope}}", "{{event.metadata.a}}",
        "http://[::1]/", "https://receiver.example:99999/", "https://ex\u2100mple.com/", "http://1.1.1.1", "http://[",
    ]
)  # fmt: skip
texts = st.one_of(words, st.text(max_size=20))
numbers = st.one_of(
    st.integers(min_value=-(2**70), max_value=2**70), st.floats(allow_nan=False, allow_infinity=False), st.booleans()
)
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), numbers, texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(texts, st.sampled_from(["frequency", "by_day", "max_attempts", "delays"])), inner),
    ),
    max_leaves=8,
)
fields_of_events = st.sampled_from([field.encode_name for field in msgspec.structs.fields(bodies.NewEvent)])
changes = st.dictionaries(fields_of_events, values, max_size=4)
documents = st.one_of(
    values,
    changes,
    changes.map(lambda fields: event_body() | fields),
    st.dictionaries(st.sampled_from(["type", "sub", "access", "scope", "expires_at"]), values).map(
        lambda fields: {"type": "jwt", "sub": "a", "access": "read", "scope": ["a"]} | fields
    ),
)
raw_bodies = st.one_of(
    st.binary(max_size=50),
    documents.map(lambda document: json.dumps(document).encode()),
    st.sampled_from([b"", b"{", b"[" * 100_000, b'{"metadata":' * 3000, b'{"name":"\\ud800"}', b"1e999", b"\xff\xfe"]),
)
moments = st.datetimes().map(lambda at: at.isoformat())
whole_numbers = st.integers(min_value=0, max_value=2**64 - 1)
forged_cursors = st.one_of(
    st.tuples(st.datetimes(), whole_numbers).map(cursors.encode),
    st.tuples(st.datetimes(), st.uuids()).map(cursors.encode),
    st.uuids().map(cursors.encode),
    st.binary(max_size=20).map(lambda raw: base64.urlsafe_b64encode(raw).decode()),
)
parameters = st.sampled_from(
    ["limit", "cursor", "tags", "any_tags", "status", "name", "from", "to", "event_id", "created_after", "x"]
)
parameter_values = st.one_of(texts, moments, forged_cursors, whole_numbers.map(str), st.binary(max_size=9).map(quote))
queries = st.lists(st.tuples(parameters, parameter_values), max_size=4).map(
    lambda pairs: urlencode(pairs, errors="replace").encode()
)
segments = st.one_of(
    st.sampled_from(["{event}", "events", "occurrences", "tokens", "trigger", "attempts", "overrides", "..", "%00"]),
    st.uuids().map(str),
    st.binary(max_size=8).map(quote),
)
routes = st.sampled_from(
    [
        (method, path.replace("_id:str}", "}").replace("{version:str}", "1"))
        for handler in application.ROUTES
        for method in handler.http_methods
        for path in handler.paths
    ]
)
methods = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
paths = st.lists(segments, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
headers = st.lists(
    st.one_of(
        st.tuples(st.just(b"authorization"), st.binary(max_size=30)),
        st.tuples(st.just(b"content-type"), st.sampled_from([b"", b"text/plain", b"application/json; charset=\xff"])),
        st.tuples(
            st.sampled_from([b"if-match", b"x-request-id", b"content-length", b"accept", b"idempotency-key"]),
            st.binary(max_size=20),
        ),
    ),
    max_size=2,
)


class Seen(msgspec.Struct):
    """What the application sent."""

    status: int = 0
    headers: dict[bytes, bytes] = {}
    body: bytes = b""


class Asked(msgspec.Struct, frozen=True):
    """A request as its bytes."""

    method: str
    path: str
    query: bytes = b""
    body: bytes = b""
    headers: list[tuple[bytes, bytes]] = []


async def ask(app: ASGIApp, asked: Asked) -> Seen:
    """Send a request as a web server would hand it over, without what a client library would refuse to send."""
    seen = Seen()
    usual = {b"authorization": f"Bearer {MASTER}".encode(), b"content-type": b"application/json"}
    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "http",
        "path": unquote(asked.path),
        "raw_path": asked.path.encode("ascii"),
        "query_string": asked.query,
        "root_path": "",
        "headers": list((usual | dict(asked.headers)).items()),
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8080),
        "state": {},
    }
    messages = [{"type": "http.request", "body": asked.body, "more_body": False}]

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            seen.status, seen.headers = message["status"], dict(message["headers"])
        else:
            seen.body += message.get("body", b"")

    await app(scope, receive, send)
    return seen


lines = st.one_of(routes, routes, st.tuples(methods, paths))


def asked_of(line: tuple[str, str], query: bytes, body: bytes, sent: list[tuple[bytes, bytes]]) -> Asked:
    return Asked(method=line[0], path=line[1], query=query, body=body, headers=sent)


requests = st.builds(asked_of, lines, queries, raw_bodies, st.one_of(st.just([]), headers))


@fuzzed
@given(asked=requests)
async def test_no_request_is_answered_with_a_500_and_every_error_is_a_problem(
    app: ASGIApp, api: Api, asked: Asked
) -> None:
    path = asked.path
    if "{event}" in path or "{occurrence}" in path:
        event = await api.create(schedule="FREQ=DAILY", rdates=[])
        coming = event["upcoming"][0]
        path = path.replace("{event}", event["id"]).replace("{occurrence}", coming["occurrence_id"])
        path = path.replace("{recurrence}", coming["recurrence_id"])

    seen = await ask(app, msgspec.structs.replace(asked, path=path))

    assert 200 <= seen.status < 500, seen
    assert b"x-request-id" in seen.headers
    if seen.status >= 400 and asked.method != "HEAD":
        assert seen.headers[b"content-type"].startswith(b"application/problem+json")
        assert msgspec.json.decode(seen.body)["status"] == seen.status


@fuzzed
@given(fields=changes)
async def test_a_body_of_good_and_bad_fields_is_stored_or_refused_with_pointers(
    api: Api, fields: dict[str, Any]
) -> None:
    answer = await api.http.post("/events", json=event_body() | fields)

    assert answer.status_code in (201, 422), answer.text
    if answer.status_code == 422:
        assert all(error["pointer"].startswith("/") for error in answer.json()["errors"])
    else:
        # Not the metadata: PostgreSQL writes 1e300 with all of its digits, which is another number to Python.
        created = as_read(answer.json()) | {"metadata": None}
        assert await api.read(f"/events/{created['id']}") | {"metadata": None} == created


@pytest.mark.parametrize("parameter", ["name", "tags", "any_tags", "status", "cursor", "created_after", "limit"])
async def test_a_nul_in_a_parameter_is_a_422(api: Api, parameter: str) -> None:
    assert pointers(assert_problem(await api.http.get(f"/events?{parameter}=a%00b"), 422)) == [parameter]


@pytest.mark.parametrize("parameter", ["name", "tags", "any_tags", "status", "cursor", "created_after", "limit"])
@pytest.mark.parametrize("raw", ["%ff", "a%c3", "%ed%a0%80", "%C0%80"])
async def test_a_parameter_that_is_not_utf_8_is_a_422(api: Api, parameter: str, raw: str) -> None:
    assert pointers(assert_problem(await api.http.get(f"/events?{parameter}={raw}"), 422)) == [parameter]


@pytest.mark.parametrize("parameter", ["status", "cursor", "created_after", "limit"])
async def test_the_word_null_in_a_parameter_is_no_null(api: Api, parameter: str) -> None:
    assert pointers(assert_problem(await api.http.get(f"/events?{parameter}=null"), 422)) == [parameter]


async def test_the_word_null_is_searched_for(api: Api) -> None:
    await api.create()
    wanted = await api.create(name="Is it null?")

    assert (await api.read("/events", name="null"))["data"] == [wanted]


@pytest.mark.parametrize("number", [2**63, 2**64 - 1])
async def test_a_forged_cursor_with_a_number_beyond_64_bits_is_a_422(api: Api, number: int) -> None:
    occurrence_id = (await api.create())["upcoming"][0]["occurrence_id"]
    cursor = cursors.encode((NOON, number))

    answer = await api.http.get(f"/occurrences/{occurrence_id}/attempts", params={"cursor": cursor})

    assert pointers(assert_problem(answer, 422)) == ["cursor"]


@pytest.mark.parametrize("path", ["/events", "/events/x", "/occurrences", "/tokens", "/health", "/docs"])
async def test_options_harm_nobody_and_head_is_answered_as_get(api: Api, path: str) -> None:
    http = api.bearing(None).http

    assert (await http.options(path)).status_code in (200, 204, 401, 405)
    assert (await http.head(path)).status_code == (await http.get(path)).status_code


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 10**18},
        {"exp": 253_402_300_800},
        {"exp": 1e300},
        {"exp": float("inf")},
        {"sub": "\0"},
        {"sub": "\ud800"},
        {"scope": ["\0"]},
        {"scope": ["\0:*"]},
        {"scope": ["\ud800"]},
        {"scope": "a"},
        {"scope": [1]},
        {"access": "master"},
        {"jti": 5},
    ],
    ids=str,
)
async def test_a_signed_token_with_absurd_claims_is_a_401(api: Api, claims: dict[str, Any]) -> None:
    now = datetime.now(UTC).timestamp()
    good = {
        "iss": "qhronos", "sub": "a", "access": "write", "scope": ["a"], "iat": now, "exp": now + 3600, "jti": "x",
    }  # fmt: skip
    token = jwt.encode(good | claims, SIGNING_KEY, algorithm="HS256")  # pyright: ignore[reportUnknownMemberType]
    caller = api.bearing(token)

    for answer in (await caller.http.get("/events"), await caller.http.post("/events", json=event_body(tags=["a"]))):
        assert_problem(answer, 401, "unauthenticated")
