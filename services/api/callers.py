"""Who is calling: the master, or the bearer of a JWT.

The algorithm is pinned, the comparison with the master token is constant-time, and there is no leeway on `exp`.
Of several secrets the first signs and all verify: a token names none of them, for others mint tokens too.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

import jwt
import msgspec
from msgspec import Meta

from services.api.revocations import Revocations
from shared.domain.ids import ChainId
from shared.domain.tokens import Access, Token
from shared.errors import Forbidden, Unauthenticated
from shared.store.sight import Sight

ISSUER = "qhronos"
ALGORITHM = "HS256"
MASTER_SUB = "master"
LONGEST_TOKEN = 16_384

Permission = Literal["read", "write", "admin", "master"]
_MOST_KEPT = 1024
"""Good tokens whose signatures are not checked again; that a kept one has expired is seen with every request."""
_RANKS: dict[str, int] = {"read": 0, "write": 1, "read_write": 1, "admin": 2, "master": 3}


Name = Annotated[str, Meta(min_length=1, max_length=255)]


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a JWT of ours says."""

    iss: Literal["qhronos"]
    sub: Name
    access: Access
    scope: list[str]
    iat: int | float
    exp: int | float
    jti: Name


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever sent the request."""

    sub: str
    access: Literal["read", "write", "read_write", "admin", "master"]
    scope: tuple[str, ...] = ("*",)
    expires_at: datetime | None = None
    token_id: str | None = None
    chain_id: ChainId | None = None
    """The delivery chain in which the request was sent."""

    def require(self, permission: Permission) -> None:
        """Raise Forbidden unless the access suffices."""
        if _RANKS[self.access] < _RANKS[permission]:
            needed = "the master token" if permission == "master" else f"`{permission}` access"
            raise Forbidden(f"This needs {needed}; the token has `{self.access}`.")

    @property
    def sight(self) -> Sight:
        """Which events exist for this caller."""
        if _RANKS[self.access] >= _RANKS["admin"] or "*" in self.scope:
            return Sight(every=True)
        return Sight(
            tags=[pattern for pattern in self.scope if "*" not in pattern],
            prefixes=[pattern.removesuffix("*") for pattern in self.scope if pattern.endswith(":*")],
        )

    def require_in_scope(self, tags: Iterable[str]) -> None:
        """Raise Forbidden unless an event with these tags would be in sight."""
        sight = self.sight
        prefixes = tuple(sight.prefixes)
        if sight.every or any(tag in sight.tags or tag.startswith(prefixes) for tag in tags):
            return
        raise Forbidden(
            f"The event would be out of the token's scope: give it a tag that matches {', '.join(self.scope)}.",
            code="out_of_scope",
        )


class Doorkeeper:
    """Tells who a token belongs to, and makes new ones."""

    def __init__(self, *, master_token: str, jwt_secrets: Sequence[str], revocations: Revocations) -> None:
        self._master_token = master_token.encode()
        self._jwt_secrets = jwt_secrets
        self._revocations = revocations
        self._verified = lru_cache(maxsize=_MOST_KEPT)(self._verify)

    def caller_of(self, authorization: str | None) -> Caller:
        """Return who sent this Authorization header; Unauthenticated when nobody good did."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated("Send the header `Authorization: Bearer <token>`.")
        token = token.strip()
        if len(token) > LONGEST_TOKEN:
            raise Unauthenticated(f"The token is longer than {LONGEST_TOKEN} characters.")
        if hmac.compare_digest(token.encode("utf-8", "replace"), self._master_token):
            return Caller(sub=MASTER_SUB, access="master")
        caller = self._verified(token)
        if caller.expires_at is not None and caller.expires_at <= datetime.now(UTC):
            raise Unauthenticated("The token has expired.")
        if caller.token_id is not None and caller.token_id in self._revocations:
            raise Unauthenticated("The token is revoked.")
        return caller

    def mint(self, token: Token) -> str:
        """Return the text of a token."""
        claims = {
            "iss": ISSUER,
            "sub": token.sub,
            "access": token.access,
            "scope": list(token.scope),
            "iat": int(token.created_at.timestamp()),
            "exp": int(token.expires_at.timestamp()),
            "jti": str(token.id),
        }
        return jwt.encode(  # pyright: ignore[reportUnknownMemberType]
            claims, self._jwt_secrets[0], algorithm=ALGORITHM
        )

    def _verify(self, token: str) -> Caller:
        try:
            claims = msgspec.convert(self._payload_of(token), Claims)
            expires_at = datetime.fromtimestamp(int(claims.exp), UTC)
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("The token has expired.") from None
        except (jwt.InvalidTokenError, msgspec.ValidationError, ValueError, OverflowError, OSError, RecursionError):
            raise Unauthenticated("The token is not a good one.") from None
        if not all(text.isprintable() for text in (claims.sub, claims.jti, *claims.scope)):
            raise Unauthenticated("The token's claims hold characters that cannot be printed.")
        return Caller(
            sub=claims.sub,
            access=claims.access,
            scope=tuple(claims.scope),
            expires_at=expires_at,
            token_id=claims.jti,
        )

    def _payload_of(self, token: str) -> dict[str, Any]:
        """Return what a token says that one of the secrets has signed, at this time."""
        for secret in self._jwt_secrets:
            try:
                return jwt.decode(  # pyright: ignore[reportUnknownMemberType]
                    token,
                    secret,
                    algorithms=[ALGORITHM],
                    issuer=ISSUER,
                    options={"require": ["iss", "sub", "access", "scope", "iat", "exp", "jti"]},
                )
            except jwt.InvalidSignatureError:
                continue
        raise jwt.InvalidSignatureError
