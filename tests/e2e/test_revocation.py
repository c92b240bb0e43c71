"""A token that one API process revokes is soon refused by another, which asks for news often enough."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import aiohttp

from services.api import revocations
from tests.e2e.processes import MASTER, Stack
from tests.patience import PATIENCE
from tests.ports import HOST, free_port

PROMISED = timedelta(seconds=1)


async def test_a_revoked_token_is_refused_by_another_process_that_asks_more_than_once_in_a_second(stack: Stack) -> None:
    await stack.start("api")
    stack.api_port = free_port()
    await stack.start("api")
    ask = {"type": "jwt", "sub": "alice", "access": "read", "scope": ["a"]}
    async with stack.request("POST", "/tokens", json=ask) as answer:
        token = await answer.json()
    good = {"authorization": f"Bearer {token['token']}"}
    async with aiohttp.ClientSession(f"http://{HOST}:{stack.api_port}") as other:
        assert await status_of(other, good) == 200

        async with stack.request("DELETE", f"/tokens/{token['id']}") as answer:
            assert answer.status == 204

        async with stack.request("GET", "/events", headers=good) as answer:
            assert answer.status == 401
        async with asyncio.timeout(PATIENCE):
            while await status_of(other, good) == 200:
                pass
        assert await status_of(other, {"authorization": f"Bearer {MASTER}"}) == 200
    assert revocations.ASK_EVERY < PROMISED


async def status_of(session: aiohttp.ClientSession, headers: dict[str, str]) -> int:
    async with session.get("/events", headers=headers) as answer:
        await answer.read()
        return answer.status
