"""Clients of two APIs: whoever finds one gone asks the other, with the same Idempotency-Key."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

import aiohttp

from tests.e2e.processes import MASTER, Json
from tests.ports import HOST

DUE_IN = "PT2S"
MOST_TRIES = 20
PAUSE_SECONDS = 0.1


class Clients:
    """Creates events at a constant rate, through all APIs in turn."""

    def __init__(self, ports: Sequence[int], url: str) -> None:
        self.due: dict[str, float] = {}
        """What was promised: each occurrence and its time."""
        self.asked_again = 0
        self.given_up: list[str] = []
        self._ports = ports
        self._url = url

    async def run(self, number: int, *, rate: float) -> None:
        """Return when all events are created or given up."""
        headers = {"authorization": f"Bearer {MASTER}"}
        async with aiohttp.ClientSession(headers=headers) as session, asyncio.TaskGroup() as requests:
            for n in range(number):
                requests.create_task(self._create(session, n))
                await asyncio.sleep(1 / rate)

    async def _create(self, session: aiohttp.ClientSession, number: int) -> None:
        body = {"name": f"created {number}", "in": DUE_IN, "webhook_url": f"{self._url}/created"}
        key, seen = {"idempotency-key": str(uuid4())}, ""
        for again in range(MOST_TRIES):
            port = self._ports[(number + again) % len(self._ports)]
            try:
                async with session.post(f"http://{HOST}:{port}/events", json=body, headers=key) as answer:
                    if answer.status == 201:
                        self._promised(await answer.json())
                        return
                    seen = f"{answer.status} {await answer.text()}"
            except aiohttp.ClientError as error:
                seen = repr(error)
            self.asked_again += 1
            await asyncio.sleep(PAUSE_SECONDS)
        self.given_up.append(seen)

    def _promised(self, event: Json) -> None:
        [occurrence] = event["upcoming"]
        self.due[occurrence["occurrence_id"]] = datetime.fromisoformat(occurrence["scheduled_at"]).timestamp()
