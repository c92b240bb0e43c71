"""The service about itself: health, readiness, status, the contract and a page to read it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import msgspec
from litestar import MediaType, Response, get

from services.api.callers import ALGORITHM, ISSUER
from services.api.context import AnyRequest, context_of, reply, token_of
from services.api.routes.tokens import DEFAULT_LIFE
from shared import readiness
from shared.domain.tokens import Access
from shared.readiness import Readiness
from shared.settings import BUILT_IN_HMAC_SECRET
from shared.version import VERSION

_PAGE = Path(__file__).parents[1] / "page"
_DAY = "public, max-age=86400"


class Health(msgspec.Struct, frozen=True):
    """The process runs."""

    status: Literal["ok"] = "ok"


class TokenInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's own token."""

    sub: str
    access: Access | Literal["master"]
    scope: tuple[str, ...]
    exp: int | None


class JwtInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How tokens are made."""

    issuer: str = ISSUER
    algorithm: str = ALGORITHM
    default_exp_seconds: int = int(DEFAULT_LIFE.total_seconds())
    token_info: TokenInfo | None


class HmacInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How deliveries are signed."""

    algorithm: str = "HMAC-SHA256"
    signature_header: str = "X-Qhronos-Signature"
    default_secret: str
    event_override_supported: bool = True


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What runs here."""

    status: Literal["ok"] = "ok"
    uptime_seconds: int
    version: str = VERSION
    jwt: JwtInfo
    hmac: HmacInfo


@get("/health", needs=None, answer=Health)
async def get_health() -> Response[bytes]:
    """Tell that the process runs."""
    return reply(Health())


@get("/ready", needs=None, answer=Readiness, unready=True)
async def get_ready(request: AnyRequest) -> Response[bytes]:
    """Tell whether PostgreSQL, Redis and the schema will do."""
    context = context_of(request)
    state = await readiness.check(context.pool, context.redis)
    return reply(state, status=200 if state.status == "ready" else 503)


@get("/status", needs=None, answer=Status)
async def get_status(request: AnyRequest) -> Response[bytes]:
    """Tell what runs, how tokens and signatures are made, and whose token was sent."""
    context = context_of(request)
    secret = context.config.default_hmac_secret
    return reply(
        Status(
            uptime_seconds=int(time.monotonic() - context.started),
            jwt=JwtInfo(token_info=_token_info(request)),
            hmac=HmacInfo(default_secret=secret if secret == BUILT_IN_HMAC_SECRET else "***"),
        )
    )


@get("/openapi.json", needs=None, media="application/json")
async def get_openapi(request: AnyRequest) -> Response[bytes]:
    """Return the contract."""
    return Response(request.app.state["openapi"], media_type="application/json")


@get("/docs", needs=None, media="text/html")
async def get_docs() -> Response[bytes]:
    """Return a page to read the contract and try it, which needs no other host."""
    return Response((_PAGE / "docs.html").read_bytes(), media_type=MediaType.HTML)


@get("/docs/rapidoc.js", needs=None)
async def get_docs_script() -> Response[bytes]:
    """Return the script of the page."""
    script = (_PAGE / "rapidoc-min.js").read_bytes()
    return Response(script, media_type="text/javascript", headers={"cache-control": _DAY})


@get("/favicon.ico", needs=None)
async def get_favicon() -> Response[bytes]:
    """Return the page's icon."""
    icon = (_PAGE / "favicon.svg").read_bytes()
    return Response(icon, media_type="image/svg+xml", headers={"cache-control": _DAY})


def _token_info(request: AnyRequest) -> TokenInfo | None:
    caller = token_of(request)
    if caller is None:
        return None
    exp = None if caller.expires_at is None else int(caller.expires_at.timestamp())
    return TokenInfo(sub=caller.sub, access=caller.access, scope=caller.scope, exp=exp)


ROUTES = [
    get_health,
    get_ready,
    get_status,
    get_openapi,
    get_docs,
    get_docs_script,
    get_favicon,
]
