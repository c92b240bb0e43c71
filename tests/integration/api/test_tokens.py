"""Tokens are made by the master alone, and shown once; admins see and revoke them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import msgspec
import pytest
from psycopg_pool import PoolTimeout

from services.api import app as application
from services.api.context import Context
from shared.domain.ids import TokenId
from shared.store.pool import Connection, open_pool
from shared.store.tokens import Revoked
from tests.factories import utc_now
from tests.integration.api.client import MASTER, SIGNING_KEY, Api, assert_problem, ids, in_seconds, pointers

NEWER_KEY = "newer-jwt-secret-newer-jwt-secret-0123"
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


async def test_a_token_that_would_be_too_long_to_be_read_is_refused(api: Api, conn: Connection) -> None:
    scope = [f"{number:02}:" + "\N{SNOWMAN}" * 100 for number in range(64)]

    errors = assert_problem(await api.http.post("/tokens", json={**ALICE, "scope": scope}), 422, "validation_failed")

    assert pointers(errors) == ["/scope"]
    assert await (await conn.execute("SELECT FROM tokens")).fetchall() == []


async def test_a_new_secret_signs_and_the_one_before_it_is_still_good(api: Api, context: Context) -> None:
    old = await api.token("read", "a")
    config = msgspec.structs.replace(context.config, jwt_secret=(NEWER_KEY, SIGNING_KEY))
    rotated = Api(application.build(Context(config, context.pool, context.redis)), MASTER)

    new = await rotated.token("read", "a")

    for token in (old, new):
        assert (await rotated.bearing(token["token"]).http.get("/events")).status_code == 200
    assert_problem(await api.bearing(new["token"]).http.get("/events"), 401)


async def test_a_token_of_another_mint_is_good_until_it_expires(api: Api) -> None:
    now = datetime.now(UTC).timestamp()
    claims = {"iss": "qhronos", "sub": "x", "access": "read", "scope": ["*"], "iat": now - 60, "jti": "not-a-uuid"}

    def minted(exp: float) -> str:
        return jwt.encode(  # pyright: ignore[reportUnknownMemberType]
            {**claims, "exp": exp}, SIGNING_KEY, algorithm="HS256"
        )

    assert (await api.bearing(minted(now + 3600)).http.get("/events")).status_code == 200
    assert_problem(await api.bearing(minted(now - 1)).http.get("/events"), 401)


async def test_tokens_are_listed_newest_first_by_pages_and_without_their_text(api: Api) -> None:
    made = [await api.token("read", "user:alice", sub=f"alice-{number}") for number in range(5)]

    pages = await api.all_pages("/tokens", limit=2)

    assert [len(page) for page in pages] == [2, 2, 1]
    listed = [token for page in pages for token in page]
    assert ids(listed) == ids(made[::-1])
    for shown, token in zip(listed, made[::-1], strict=True):
        assert shown == {**without_text(token), "expired": False, "revoked_at": None}


def without_text(token: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in token.items() if name != "token"}


async def test_a_list_of_tokens_tells_which_are_expired_and_which_revoked(api: Api, conn: Connection) -> None:
    expired, revoked = await api.token("read", "a"), await api.token("read", "a")
    await conn.execute("UPDATE tokens SET expires_at = now() - interval '1 second' WHERE id = %s", [expired["id"]])
    await api.http.delete(f"/tokens/{revoked['id']}")

    listed = {token["id"]: token for token in (await api.read("/tokens"))["data"]}

    assert (listed[expired["id"]]["expired"], listed[expired["id"]]["revoked_at"]) == (True, None)
    assert listed[revoked["id"]]["expired"] is False
    assert datetime.fromisoformat(listed[revoked["id"]]["revoked_at"]) <= datetime.now(UTC)


async def test_a_revoked_token_is_refused_at_once_and_no_other(api: Api) -> None:
    [revoked, other] = [await api.token("read", "a") for _ in range(2)]

    assert (await api.http.delete(f"/tokens/{revoked['id']}")).status_code == 204

    answer = await api.bearing(revoked["token"]).http.get("/events")
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert (await api.bearing(revoked["token"]).read("/status"))["jwt"]["token_info"] is None
    assert (await api.bearing(other["token"]).http.get("/events")).status_code == 200


async def test_revoking_twice_changes_nothing(api: Api) -> None:
    token = await api.token("read", "a")
    await api.http.delete(f"/tokens/{token['id']}")
    [before] = (await api.read("/tokens"))["data"]

    assert (await api.http.delete(f"/tokens/{token['id']}")).status_code == 204

    assert (await api.read("/tokens"))["data"] == [before]


@pytest.mark.parametrize("id_", ["01a20ede-64e4-73f8-9798-f88b0cce1a0a", "nope", "a" * 500, "%00"])
async def test_an_unknown_or_malformed_token_id_is_404(api: Api, id_: str) -> None:
    assert_problem(await api.http.delete(f"/tokens/{id_}"), 404, "token_not_found")


async def test_an_admin_may_revoke_the_token_that_it_comes_with(api: Api) -> None:
    token = await api.token("admin")
    admin = api.bearing(token["token"])

    assert (await admin.http.delete(f"/tokens/{token['id']}")).status_code == 204

    assert_problem(await admin.http.get("/tokens"), 401)


class TestAnotherProcess:
    """It has its own deny list, and asks for news."""

    @pytest.fixture
    def other(self, context: Context) -> Context:
        return Context(context.config, context.pool, context.redis)

    @staticmethod
    async def status_of(context: Context, token: dict[str, Any]) -> int:
        return (await Api(application.build(context), token["token"]).http.get("/events")).status_code

    async def test_learns_of_a_revocation_with_the_next_news(self, api: Api, other: Context) -> None:
        token, kept = await api.token("read", "a"), await api.token("read", "a")
        await other.revocations.run_once(other.pool)
        await api.http.delete(f"/tokens/{token['id']}")
        assert await self.status_of(other, token) == 200

        pause = await other.revocations.run_once(other.pool)

        assert await self.status_of(other, token) == 401
        assert await self.status_of(other, kept) == 200
        assert pause <= timedelta(seconds=0.5)

    async def test_knows_all_revocations_when_it_starts(self, api: Api, other: Context, conn: Connection) -> None:
        token = await api.token("read", "a")
        await api.http.delete(f"/tokens/{token['id']}")
        await conn.execute("UPDATE tokens SET revoked_at = now() - interval '1 year'")

        await other.revocations.run_once(other.pool)

        assert await self.status_of(other, token) == 401

    async def test_learns_of_one_that_was_committed_late(self, api: Api, other: Context, conn: Connection) -> None:
        token = await api.token("read", "a")
        await other.revocations.run_once(other.pool)
        await conn.execute("UPDATE tokens SET revoked_at = now() - interval '30 seconds'")

        await other.revocations.run_once(other.pool)

        assert await self.status_of(other, token) == 401

    async def test_does_not_ask_again_for_what_it_knows(self, api: Api, other: Context, conn: Connection) -> None:
        token = await api.token("read", "a")
        await other.revocations.run_once(other.pool)
        await conn.execute("UPDATE tokens SET revoked_at = now() - interval '1 hour'")

        await other.revocations.run_once(other.pool)

        assert await self.status_of(other, token) == 200

    async def test_forgets_a_revocation_a_day_after_the_token_expired(
        self, api: Api, other: Context, conn: Connection
    ) -> None:
        tokens = [await api.token("read", "a") for _ in range(2)]
        for token, hours in zip(tokens, (23, 25), strict=True):
            await api.http.delete(f"/tokens/{token['id']}")
            await conn.execute(
                "UPDATE tokens SET expires_at = now() - make_interval(hours => %s) WHERE id = %s", [hours, token["id"]]
            )

        known = Revoked(TokenId(uuid4()), utc_now() - timedelta(hours=25))
        other.revocations.learn([known])

        await other.revocations.run_once(other.pool)

        assert [token["id"] in other.revocations for token in tokens] == [True, False]
        assert str(known.id) not in other.revocations

    async def test_keeps_what_it_knows_while_postgresql_is_away(self, api: Api, other: Context) -> None:
        token = await api.token("read", "a")
        await api.http.delete(f"/tokens/{token['id']}")
        await other.revocations.run_once(other.pool)
        async with open_pool("postgresql://nobody@/none?host=/nonexistent", name="test", size=1) as away:
            away.timeout = 0.05

            with pytest.raises(PoolTimeout):
                await other.revocations.run_once(away)

        assert await self.status_of(other, token) == 401
