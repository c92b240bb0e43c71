"""What handlers work with, and the few things that every handler does."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any, TypeVar, cast
from uuid import UUID

import msgspec
import structlog
from litestar import Request, Response

from services.api import decoding
from services.api.callers import Caller, Doorkeeper
from services.api.limiter import Limiter
from services.api.quotas import Quotas
from services.api.revocations import Revocations
from services.api.settings import ApiSettings
from services.api.turns import Turns
from shared.domain import chains
from shared.domain.content import Json
from shared.domain.limits import Limit
from shared.errors import NotFound, Unauthenticated, UnsupportedMediaType
from shared.sealing import Seals
from shared.store.clock import DatabaseClock
from shared.store.pool import Pool
from shared.stream import nudges
from shared.stream.client import CONNECTION_LOST, Redis, RedisError

AnyRequest = Request[Any, Any, Any]

S = TypeVar("S", bound=msgspec.Struct)

_NUDGE_PAUSE = timedelta(milliseconds=5)

log = structlog.get_logger()


class Nudger:
    """Wakes the schedulers, at most every 5 ms however often it is asked."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._wanted = asyncio.Event()

    def soon(self) -> None:
        """Let the schedulers look at what is due."""
        self._wanted.set()

    async def run_once(self) -> timedelta:
        """Send a nudge when one is wanted."""
        await self._wanted.wait()
        self._wanted.clear()
        try:
            await nudges.nudge(self._redis)
        except (*CONNECTION_LOST, RedisError) as error:
            log.warning("nudge.lost", error=str(error))  # the schedulers' own poll finds what is due
        return _NUDGE_PAUSE


class Context:
    """The parts of the process that handlers share."""

    def __init__(self, config: ApiSettings, pool: Pool, redis: Redis) -> None:
        self.config = config
        self.pool = pool
        self.redis = redis
        self.clock = DatabaseClock()
        self.nudger = Nudger(redis)
        self.limiter = Limiter(redis, Limit(bucket=config.rate_limit_bucket, refill=config.rate_limit_refill))
        self.seals = Seals(config.encryption_keys)
        self.revocations = Revocations()
        self.doorkeeper = Doorkeeper(
            master_token=config.master_token, jwt_secrets=config.jwt_secret, revocations=self.revocations
        )
        self.quotas = Quotas(
            active_events=config.quota_active_events,
            creates_per_minute=config.quota_creates_per_minute,
            chain_events=config.quota_chain_events,
        )
        self.turns = Turns()
        self.started = time.monotonic()


def context_of(request: AnyRequest) -> Context:
    """Return the process's parts."""
    return cast("Context", request.app.state["context"])


def caller_of(request: AnyRequest) -> Caller:
    """Return who sent the request; `admit` has made sure of it."""
    return cast("Caller", request.scope["state"]["caller"])


def chained_caller_of(request: AnyRequest) -> Caller:
    """Return who sent the request, and in which delivery chain where the request names one."""
    caller, sent = caller_of(request), request.headers.getall(chains.HEADER, [])
    return msgspec.structs.replace(caller, chain_id=chains.chain_in(",".join(sent))) if sent else caller


async def admit(request: AnyRequest) -> None:
    """Let through who may use the handler: its `needs` names the access; without one it is open to all.

    The gate has found out who it is.
    """
    needs = request.route_handler.opt.get("needs")
    if needs is None:
        return
    caller = cast("Caller | Unauthenticated", request.scope["state"]["caller"])
    if isinstance(caller, Unauthenticated):
        raise caller
    caller.require(needs)


def token_of(request: AnyRequest) -> Caller | None:
    """Return who sent the request where that may be nobody."""
    try:
        return context_of(request).doorkeeper.caller_of(request.headers.get("authorization"))
    except Unauthenticated:
        return None


async def document_of(request: AnyRequest) -> dict[str, Json]:
    """Return the JSON object of the request's body; an empty one for no body."""
    raw = await request.body()
    content_type = request.headers.get("content-type", "application/json").split(";", 1)[0].strip().lower()
    if not raw:
        return {}
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise UnsupportedMediaType(f"The body is {content_type}; send `Content-Type: application/json`.")
    return decoding.json_object(raw)


def query_of(request: AnyRequest, kind: type[S]) -> S:
    """Return the request's query parameters."""
    return decoding.query(kind, {name: request.query_params.getall(name) for name in request.query_params})


def id_of(text: str, what: str) -> UUID:
    """Read an id from the path; NotFound when it is none, for then nothing has it."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"There is no {what} {text[:64]}.", code=f"{what}_not_found") from None


def reply(content: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    """Answer in JSON."""
    return Response(
        msgspec.json.encode(content), status_code=status, media_type="application/json", headers=headers or {}
    )
