"""Who a token belongs to, and what it may do and see."""

from __future__ import annotations

import base64
import hmac
import json
import time
from contextlib import suppress
from typing import Any
from uuid import UUID

import jwt
import msgspec
import pytest

from services.api.callers import LONGEST_TOKEN, Caller, Doorkeeper, Permission
from services.api.revocations import Revocations
from shared.domain.ids import TokenId
from shared.domain.tokens import Access, Token
from shared.errors import Forbidden, Unauthenticated
from shared.store.tokens import Revoked
from tests.factories import NOON, SECOND, utc_now

MASTER = "a-master-token"
KEY = "a-signing-key-a-signing-key-a-signing-key"
OLDER_KEY = "an-older-key-an-older-key-an-older-key-"
REVOKED = Revoked(TokenId(UUID("01a20ede-64e4-73f8-9798-f88b0cce1a0a")), NOON)


def door() -> Doorkeeper:
    revocations = Revocations()
    revocations.learn([REVOKED])
    return Doorkeeper(master_token=MASTER, jwt_secrets=(KEY, OLDER_KEY), revocations=revocations)


DOOR = door()


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "iss": "qhronos",
        "sub": "alice",
        "access": "read",
        "scope": ["a"],
        "iat": now,
        "exp": now + 3600,
        "jti": "x",
    }
    return {name: value for name, value in (good | changed).items() if value is not None}


def signed(payload: dict[str, Any], *, key: str = KEY, algorithm: str = "HS256") -> str:
    return jwt.encode(payload, key, algorithm=algorithm)  # pyright: ignore[reportUnknownMemberType]


def by_hand(header: dict[str, Any], payload: dict[str, Any]) -> str:
    """Sign with HMAC-SHA256 whatever the header says."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    text = f"{part(json.dumps(header).encode())}.{part(json.dumps(payload).encode())}"
    return f"{text}.{part(hmac.digest(KEY.encode(), text.encode(), 'sha256'))}"


def caller_of(token: str) -> Caller:
    return DOOR.caller_of(f"Bearer {token}")


def test_the_master_token_is_known() -> None:
    caller = caller_of(MASTER)

    assert (caller.sub, caller.access, caller.sight.every) == ("master", "master", True)


def test_the_master_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def spy(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    caller_of(MASTER)

    assert compared == [(MASTER.encode(), MASTER.encode())]


def seen_to_be_good() -> tuple[str, int]:
    """Return a token that was good, and when it expires: after two seconds, unless the machine stood still for them."""
    for lasting in (2, 10, 50):
        exp = int(time.time()) + lasting
        token = signed(claims(exp=exp))
        with suppress(Unauthenticated):
            assert caller_of(token).sub == "alice"
            return token, exp
    raise AssertionError("no token was good")


def test_a_token_that_was_good_is_refused_as_soon_as_it_has_expired() -> None:
    token, exp = seen_to_be_good()

    while time.time() < exp:
        time.sleep(0.05)

    with pytest.raises(Unauthenticated, match="expired"):
        caller_of(token)


def test_a_jwt_says_who_calls() -> None:
    payload = claims(access="read_write", scope=["a", "b:*"])

    caller = caller_of(signed(payload))

    assert (caller.sub, caller.access, caller.scope, caller.token_id) == ("alice", "read_write", ("a", "b:*"), "x")
    assert caller.expires_at is not None
    assert caller.expires_at.timestamp() == payload["exp"]


def test_what_is_minted_here_is_good_here() -> None:
    now = utc_now().replace(microsecond=0)
    token = Token(
        id=TokenId(UUID(int=7)), sub="bob", access="admin", scope=(), created_at=now, expires_at=now + 60 * SECOND
    )

    caller = caller_of(DOOR.mint(token))

    assert caller == Caller(sub="bob", access="admin", scope=(), expires_at=token.expires_at, token_id=str(UUID(int=7)))


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(by_hand({"alg": "none", "typ": "JWT"}, claims()), id="alg none, signed"),
        pytest.param(by_hand({"alg": "none"}, claims()).rpartition(".")[0] + ".", id="alg none, unsigned"),
        pytest.param(by_hand({"alg": "None"}, claims()).rpartition(".")[0] + ".", id="alg None"),
        pytest.param(by_hand({"alg": "RS256", "typ": "JWT"}, claims()), id="alg RS256 with the secret as its key"),
        pytest.param(by_hand({"alg": "HS512", "typ": "JWT"}, claims()), id="alg HS512 signed with HS256"),
        pytest.param(by_hand({}, claims()), id="no alg"),
        pytest.param(signed(claims(), key=KEY * 2, algorithm="HS512"), id="another key and algorithm"),
        pytest.param(signed(claims(), algorithm="HS512", key=KEY + KEY), id="HS512"),
        pytest.param(signed(claims(), key=KEY + "x"), id="wrong key"),
        pytest.param(signed(claims())[:-2], id="cut off"),
        pytest.param(signed(claims(iss="other")), id="wrong issuer"),
        pytest.param(signed(claims(exp=int(time.time()) - 1)), id="expired a second ago"),
        pytest.param(signed(claims(iat=int(time.time()) + 3600)), id="not yet issued"),
        pytest.param(signed(claims(access="root")), id="unknown access"),
        pytest.param(signed(claims(access="master")), id="access master"),
        pytest.param(signed(claims(scope="a")), id="scope no list"),
        pytest.param(signed(claims(exp=10**18)), id="exp beyond time"),
        pytest.param(signed(claims(jti=str(REVOKED.id))), id="revoked"),
        pytest.param(signed(claims(jti=str(REVOKED.id)), key=OLDER_KEY), id="revoked, signed with an older key"),
        pytest.param(signed(claims(exp=int(time.time()) - 1), key=OLDER_KEY), id="expired, signed with an older key"),
        pytest.param(by_hand({"alg": "none", "typ": "JWT"}, claims()), id="alg none although signed"),
        pytest.param(by_hand({"alg": "hs256", "typ": "JWT"}, claims()), id="alg in lower case"),
        pytest.param(signed(claims(sub=1)), id="sub a number"),
        pytest.param(signed(claims(sub="")), id="sub empty"),
        pytest.param(signed(claims(sub="x" * 256)), id="sub longer than what can be stored"),
        pytest.param(by_hand({"alg": "HS256"}, claims(iss=["qhronos"])), id="iss a list"),
        pytest.param(signed(claims(jti=1)), id="jti a number"),
        pytest.param(signed(claims(jti="x" * 256)), id="jti too long"),
        pytest.param(signed(claims(scope=[1])), id="scope of numbers"),
        pytest.param(signed(claims(exp=str(int(time.time()) + 60))), id="exp a string"),
        pytest.param(signed(claims(exp=True)), id="exp true"),
        pytest.param(by_hand({"alg": "HS256"}, claims(exp=float("inf"))), id="exp infinite"),
        pytest.param(by_hand({"alg": "HS256"}, claims(exp=float("nan"))), id="exp no number"),
        pytest.param(by_hand({"alg": "HS256"}, claims(iat=[])), id="iat a list"),
        pytest.param(signed(claims(padding="x" * 12_300)), id="longer than a token may be"),
        pytest.param("x" * 1_000_000, id="a million characters"),
        pytest.param(MASTER + "x", id="longer than the master token"),
        pytest.param(MASTER[:-1], id="shorter than the master token"),
        pytest.param("", id="empty"),
        pytest.param("a.b.c", id="three words"),
        pytest.param("\xfc\xff", id="not ascii"),
    ],
)
def test_any_other_token_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated):
        caller_of(token)


@pytest.mark.parametrize("headers", [None, {"kid": "2026"}], ids=str)
@pytest.mark.parametrize("key", [KEY, OLDER_KEY])
def test_every_secret_verifies_whoever_minted_the_token(key: str, headers: dict[str, str] | None) -> None:
    token = jwt.encode(  # pyright: ignore[reportUnknownMemberType]
        claims(), key, algorithm="HS256", headers=headers
    )

    assert caller_of(token).sub == "alice"


def test_a_token_of_almost_the_longest_length_is_read() -> None:
    token = signed(claims(padding="x" * 12_000))

    assert 16_000 < len(token) <= LONGEST_TOKEN
    assert caller_of(token).sub == "alice"


@pytest.mark.parametrize("name", ["iss", "sub", "access", "scope", "iat", "exp", "jti"])
def test_a_claim_that_is_missing_is_fatal(name: str) -> None:
    with pytest.raises(Unauthenticated):
        caller_of(signed(claims(**{name: None})))


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", MASTER, f"Basic {MASTER}", f"Bearer{MASTER}"])
def test_a_header_without_a_bearer_token_is_refused(header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        DOOR.caller_of(header)


RANKS: list[tuple[Access, list[Permission]]] = [
    ("read", ["read"]),
    ("write", ["read", "write"]),
    ("read_write", ["read", "write"]),
    ("admin", ["read", "write", "admin"]),
]


@pytest.mark.parametrize(("access", "may"), RANKS)
def test_access_is_a_ladder_below_the_master(access: Access, may: list[Permission]) -> None:
    caller = Caller(sub="x", access=access, scope=("a",))
    permissions: list[Permission] = ["read", "write", "admin", "master"]

    for permission in permissions:
        if permission in may:
            caller.require(permission)
        else:
            with pytest.raises(Forbidden):
                caller.require(permission)


@pytest.mark.parametrize(
    ("scope", "tags", "seen"),
    [
        (["a"], ["a"], True),
        (["a"], ["b", "a"], True),
        (["a"], ["ab"], False),
        (["a"], ["A"], False),
        (["a"], [], False),
        (["a:*"], ["a:"], True),
        (["a:*"], ["a:b:c"], True),
        (["a:*"], ["a"], False),
        (["a:*"], ["ab:c"], False),
        (["x", "a:*"], ["b", "a:1"], True),
        (["*"], [], True),
        ([], ["a"], False),
    ],
)
def test_a_scope_reaches_the_tags_that_its_patterns_match(scope: list[str], tags: list[str], seen: bool) -> None:
    caller = Caller(sub="x", access="write", scope=tuple(scope))

    if seen:
        caller.require_in_scope(tags)
    else:
        with pytest.raises(Forbidden) as refused:
            caller.require_in_scope(tags)
        assert refused.value.code == "out_of_scope"
    assert msgspec.structs.replace(caller, access="admin").require_in_scope(tags) is None
