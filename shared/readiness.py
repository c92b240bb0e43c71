"""Whether a process could do its work right now."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec

from shared.store import schema
from shared.store.pool import CONNECTION_LOST as POSTGRES_LOST
from shared.store.pool import Pool
from shared.stream.client import CONNECTION_LOST as REDIS_LOST
from shared.stream.client import Redis, RedisError, ping

_PATIENCE = 2.0


class SchemaState(msgspec.Struct, frozen=True):
    """The newest migration in the database and the one that this code needs."""

    found: int | None
    needed: int


class Readiness(msgspec.Struct, frozen=True):
    """The answer of `/ready`."""

    status: Literal["ready", "not_ready"]
    postgres: Literal["ok", "unreachable"]
    redis: Literal["ok", "unreachable"]
    schema: SchemaState


async def check(pool: Pool, redis: Redis) -> Readiness:
    """Ask both servers; an answer that takes longer than two seconds counts as none."""
    found, redis_ok = await asyncio.gather(_schema_version(pool), _redis_answers(redis))
    needed = max(schema.available())
    ready = found is not None and found >= needed and redis_ok
    return Readiness(
        "ready" if ready else "not_ready",
        "unreachable" if found is None else "ok",
        "ok" if redis_ok else "unreachable",
        SchemaState(found, needed),
    )


async def _schema_version(pool: Pool) -> int | None:
    try:
        async with asyncio.timeout(_PATIENCE), pool.connection(timeout=_PATIENCE) as conn:
            return await schema.version_of(conn)
    except (*POSTGRES_LOST, TimeoutError):
        return None


async def _redis_answers(redis: Redis) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE):
            await ping(redis)
            return True
    except (*REDIS_LOST, RedisError, TimeoutError):
        return False
