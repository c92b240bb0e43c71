"""Tokens are made by the master alone, and shown once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from shared.store.pool import Connection
from tests.integration.api.client import SIGNING_KEY, Api, assert_problem, in_seconds, pointers

ALICE: dict[str, Any] = {"type": "jwt", "sub": "alice", "access": "read", "scope": ["user:alice", "system:*"]}


async def test_a_token_says_what_was_asked_for_and_lives_one_hour(api: Api) -> None:
    answer = await api.http.post("/tokens", json=ALICE)

    assert answer.status_code == 201
    token = answer.json()
    assert set(token) == {"id", "token", "type", "sub", "access", "scope", "expires_at", "created_at"}
    assert {name: token[name] for name in ALICE} == ALICE
    created_at, expires_at = (datetime.fromisoformat(token[name]) for name in ("created_at", "expires_at"))
    assert expires_at - created_at == timedelta(hours=1)
    claims = jwt.decode(  # pyright: ignore[reportUnknownMemberType]
        token["token"], SIGNING_KEY, algorithms=["HS256"], issuer="qhronos"
    )
    assert claims == {
        "iss": "qhronos",
        "sub": "alice",
        "access": "read",
        "scope": ["user:alice", "system:*"],
        "iat": int(created_at.timestamp()),
        "exp": int(expires_at.timestamp()),
        "jti": token["id"],
    }


async def test_the_text_of_a_token_is_not_stored(api: Api, conn: Connection) -> None:
    token = (await api.http.post("/tokens", json=ALICE)).json()

    [row] = await (await conn.execute("SELECT t.*::text FROM tokens AS t")).fetchall()

    assert token["id"] in row[0]
    assert token["token"].split(".")[2] not in row[0]


async def test_an_expiry_is_taken_to_the_second(api: Api) -> None:
    answer = await api.http.post("/tokens", json={**ALICE, "expires_at": "2100-01-01T01:00:00+01:00"})

    assert answer.json()["expires_at"] == "2100-01-01T00:00:00Z"
    assert (await api.bearing(answer.json()["token"]).http.get("/events")).status_code == 200


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"type": "opaque"}, "/type"),
        ({"type": None}, "/type"),
        ({"sub": ""}, "/sub"),
        ({"sub": "x" * 256}, "/sub"),
        ({"sub": "a\0"}, "/sub"),
        ({"access": "root"}, "/access"),
        ({"scope": []}, "/scope"),
        ({"scope": "a"}, "/scope"),
        ({"scope": ["a", "us*"]}, "/scope/1"),
        ({"scope": ["*:a"]}, "/scope/0"),
        ({"scope": ["a:*:*"]}, "/scope/0"),
        ({"scope": ["**"]}, "/scope/0"),
        ({"scope": ["a b"]}, "/scope/0"),
        ({"scope": ["a,b"]}, "/scope/0"),
        ({"scope": [""]}, "/scope/0"),
        ({"scope": ["x" * 129]}, "/scope/0"),
        ({"expires_at": in_seconds(-1)}, "/expires_at"),
        ({"expires_at": "2100-01-01T00:00:00"}, "/expires_at"),
        ({"expires_at": "tomorrow"}, "/expires_at"),
        ({"id": "01a20ede-64e4-73f8-9798-f88b0cce1a0a"}, "/id"),
    ],
    ids=str,
)
async def test_a_bad_token_is_refused_and_the_error_points_at_it(
    api: Api, change: dict[str, Any], pointer: str
) -> None:
    errors = assert_problem(await api.http.post("/tokens", json={**ALICE, **change}), 422, "validation_failed")

    assert pointers(errors) == [pointer]


async def test_a_non_admin_token_without_a_scope_is_refused_and_an_admin_needs_none(api: Api) -> None:
    body = {"type": "jwt", "sub": "root", "access": "admin"}

    assert (await api.http.post("/tokens", json=body)).status_code == 201
    errors = assert_problem(await api.http.post("/tokens", json={**body, "access": "write"}), 422)
    assert pointers(errors) == ["/scope"]


async def test_a_token_of_another_mint_is_good_until_it_expires(api: Api) -> None:
    now = datetime.now(UTC).timestamp()
    claims = {"iss": "qhronos", "sub": "x", "access": "read", "scope": ["*"], "iat": now - 60, "jti": "not-a-uuid"}

    def minted(exp: float) -> str:
        return jwt.encode(  # pyright: ignore[reportUnknownMemberType]
            {**claims, "exp": exp}, SIGNING_KEY, algorithm="HS256"
        )

    assert (await api.bearing(minted(now + 60)).http.get("/events")).status_code == 200
    assert_problem(await api.bearing(minted(now - 1)).http.get("/events"), 401)
