"""Tokens: only the master token makes them."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

from litestar import Response, post

from services.api import bodies
from services.api.answers import TokenAnswer
from services.api.context import AnyRequest, context_of, document_of, reply
from services.api.findings import Findings
from shared.domain.ids import TokenId
from shared.domain.tokens import Token
from shared.store import tokens

DEFAULT_LIFE = timedelta(hours=1)

_PATTERN = re.compile(r"\*|[^\s,*]{1,128}|[^\s,*]{0,127}:\*")


@post("/tokens", needs="master", body=bodies.NewToken, answer=TokenAnswer, codes=[403])
async def create_token(request: AnyRequest) -> Response[bytes]:
    """Create a token. Its text is shown this once and never stored."""
    context = context_of(request)
    found = Findings(bodies.NewToken, await document_of(request))
    now = context.clock.now().replace(microsecond=0)
    expires_at = found.instant("expires_at") or now + DEFAULT_LIFE
    if expires_at <= now:
        found.add("/expires_at", "This time has passed.", hint="Leave it out for one hour from now.")
    if not found.value("sub", "").isprintable():
        found.add("/sub", "The name holds characters that cannot be printed.", example="alice")
    scope: list[str] = found.value("scope", [])
    for index, pattern in enumerate(scope):
        if not _PATTERN.fullmatch(pattern):
            hint = "A tag, a prefix that ends in a colon and a star, or `*`."
            found.add(f"/scope/{index}", "This is not a tag pattern.", hint=hint, example="system:*")
    if not scope and not found.any_of("scope", "access") and found.value("access", "") != "admin":
        found.add("/scope", "A token without `admin` access needs at least one pattern.", example=["system:*"])
    found.raise_if_any()
    token = Token(
        id=TokenId(uuid.uuid4()),
        sub=found.value("sub", ""),
        access=found.value("access", "read"),
        scope=tuple(scope),
        expires_at=expires_at.replace(microsecond=0),
        created_at=now,
    )
    async with context.pool.connection() as conn:
        await tokens.insert(conn, token)
    answer = TokenAnswer(
        id=token.id,
        token=context.doorkeeper.mint(token),
        sub=token.sub,
        access=token.access,
        scope=token.scope,
        expires_at=token.expires_at,
        created_at=token.created_at,
    )
    return reply(answer, status=201)


ROUTES = [create_token]
