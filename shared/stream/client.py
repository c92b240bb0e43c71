"""Connections to Redis, alike in every process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import redis.asyncio as redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

Redis = redis.Redis

_GIVE_UP_AFTER = 5.0

CONNECTION_LOST = (RedisConnectionError, RedisTimeoutError)
"""A command that was on its way may or may not have been done."""

__all__ = ["CONNECTION_LOST", "Redis", "RedisError", "ResponseError", "open_client", "ping"]


async def ping(client: Redis) -> None:
    """Return when Redis answers."""
    await client.ping()  # pyright: ignore[reportUnknownMemberType]


@asynccontextmanager
async def open_client(url: str, *, longest_block: float = 0) -> AsyncGenerator[Redis]:
    """Yield a client. One that reads with BLOCK is not shared, and waits `longest_block` seconds longer."""
    client = redis.Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
        url,
        socket_timeout=longest_block + _GIVE_UP_AFTER,
        socket_connect_timeout=_GIVE_UP_AFTER,
        health_check_interval=0,
    )
    try:
        yield client
    finally:
        await client.aclose()
