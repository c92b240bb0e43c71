"""Before every request that is limited, also one that the router refuses: who is it, and is it one too many?

A good token has a bucket of its own, by its `jti`; whoever comes without one shares that of its address, or with IPv6
of its /64, which is what one host is given.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from http import HTTPStatus
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any, cast

from litestar import Response
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send
from structlog.contextvars import get_contextvars

from services.api import problems
from services.api.callers import MASTER_SUB
from services.api.context import Context
from shared import metrics
from shared.domain.limits import Limit, Taken
from shared.errors import Unauthenticated

_HOST_PREFIX = 64


class Gate:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, context: Context, handlers: Iterable[HTTPRouteHandler]) -> None:
        self._app = app
        self._context = context
        self._open = frozenset(path for handler in handlers if handler.opt["needs"] is None for path in handler.paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"].rstrip("/") in self._open:
            await self._app(scope, receive, send)
            return
        state = cast("MutableMapping[str, Any]", scope["state"])
        limiter = self._context.limiter
        taken = await limiter.take(self._recognised(scope, state))
        if taken is not None:
            state["answer_headers"].extend(_headers(taken, limiter.limit))
            if not taken.admitted:
                metrics.LIMITED.inc()
                await problems.send(_refusal(taken, limiter.limit), send)
                return
        await self._app(scope, receive, send)

    def _recognised(self, scope: Scope, state: MutableMapping[str, Any]) -> str:
        """Remember who sent the request, or why nobody good did; return the name of the bucket."""
        details = cast("MutableMapping[str, Any]", scope)
        sent = next((value for name, value in details["headers"] if name == b"authorization"), None)
        try:
            caller = self._context.doorkeeper.caller_of(None if sent is None else sent.decode("latin-1"))
        except Unauthenticated as refusal:
            state["caller"] = refusal
            host, _ = details.get("client") or ("unknown", 0)
            return f"ip:{neighbourhood_of(host)}"
        state["caller"] = caller
        return caller.token_id or MASTER_SUB


def neighbourhood_of(host: str) -> str:
    """Return what all addresses have in common that a client's own host may take: an IPv4 address, or an IPv6 /64."""
    try:
        address = ip_address(host)
    except ValueError:
        return host  # a Unix socket has none
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped is not None:  # an IPv4 client of a socket for both
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), _HOST_PREFIX), strict=False))


def _headers(taken: Taken, limit: Limit) -> list[tuple[bytes, bytes]]:
    return [
        (b"x-ratelimit-limit", b"%d" % limit.bucket),
        (b"x-ratelimit-remaining", b"%d" % taken.remaining(limit)),
        (b"x-ratelimit-reset", b"%d" % taken.seconds_until_full()),
    ]


def _refusal(taken: Taken, limit: Limit) -> Response[problems.Problem]:
    seconds = taken.seconds_until_next(limit)
    return problems.answer(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"{limit.bucket} requests at once and {limit.refill:g} per second are allowed: try again in {seconds} s.",
        "rate_limited",
        str(get_contextvars().get("request_id", "")),
        headers={"retry-after": str(seconds)},
    )
