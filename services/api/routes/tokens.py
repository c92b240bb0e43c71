"""Tokens: only the master token makes them, admins see and revoke them."""

from __future__ import annotations

import re
from datetime import timedelta

from litestar import Response, delete, get, post
from litestar.params import FromPath

from services.api import answers, bodies, cursors
from services.api.answers import Page, StoredTokenAnswer, TokenAnswer
from services.api.callers import LONGEST_TOKEN
from services.api.context import AnyRequest, caller_of, context_of, document_of, id_of, query_of, reply
from services.api.findings import Findings
from shared.domain.ids import TokenId, token_id_at
from shared.domain.tokens import Token
from shared.store import audit, tokens
from shared.store.audit import Entry

DEFAULT_LIFE = timedelta(hours=1)

_PATTERN = re.compile(r"\*|[^\s,*]{1,128}|[^\s,*]{0,127}:\*")


@post("/tokens", needs="master", body=bodies.NewToken, answer=TokenAnswer)
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
        id=token_id_at(context.clock.now()),
        sub=found.value("sub", ""),
        access=found.value("access", "read"),
        scope=tuple(scope),
        expires_at=expires_at.replace(microsecond=0),
        created_at=now,
    )
    text = context.doorkeeper.mint(token)
    if len(text) > LONGEST_TOKEN:
        hint = f"Fewer or shorter patterns: its text may have {LONGEST_TOKEN} characters."
        found.add("/scope", "The token would be too long.", hint=hint, example=["system:*"])
    found.raise_if_any()
    details = {"sub": token.sub, "access": token.access, "scope": token.scope, "expires_at": token.expires_at}
    entry = Entry(action="token.created", sub=caller_of(request).sub, token_id=token.id, details=details)
    async with context.pool.connection() as conn, conn.transaction():
        await tokens.insert(conn, token)
        await audit.write(conn, entry)
    answer = TokenAnswer(
        id=token.id,
        token=text,
        sub=token.sub,
        access=token.access,
        scope=token.scope,
        expires_at=token.expires_at,
        created_at=token.created_at,
    )
    return reply(answer, status=201)


@get("/tokens", needs="admin", query=bodies.PageQuery, answer=Page[StoredTokenAnswer])
async def list_tokens(request: AnyRequest) -> Response[bytes]:
    """List the tokens that were made here, newest first; never their text."""
    context = context_of(request)
    wanted = query_of(request, bodies.PageQuery)
    before = cursors.decode(wanted.cursor, cursors.TimeAndId)
    async with context.pool.connection() as conn:
        found = await tokens.newest(conn, before=before, limit=wanted.limit + 1)
    shown = found[: wanted.limit]
    cursor = cursors.encode((shown[-1].created_at, shown[-1].id)) if len(found) > wanted.limit else None
    now = context.clock.now()
    return reply(Page(data=[answers.token(each, now=now) for each in shown], next_cursor=cursor))


@delete("/tokens/{token_id:str}", needs="admin", status_code=204)
async def revoke_token(request: AnyRequest, token_id: FromPath[str]) -> None:
    """Revoke a token. Every API process refuses it within one second."""
    context, id_ = context_of(request), TokenId(id_of(token_id, "token"))
    async with context.pool.connection() as conn, conn.transaction():
        revoked = await tokens.revoke(conn, id_)
        await audit.write(conn, Entry(action="token.revoked", sub=caller_of(request).sub, token_id=id_))
    context.revocations.learn([revoked])


ROUTES = [create_token, list_tokens, revoke_token]
