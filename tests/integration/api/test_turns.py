"""A list of heavy events keeps nobody else waiting until all of it is made."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from services.api import answers, turns
from services.api.answers import EventAnswer
from shared.domain.events import Event
from tests.integration.api.client import Api


async def test_others_go_on_while_a_long_list_is_made(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        await api.create()
    gone_on, at, real = 0, set[int](), answers.event

    async def go_on() -> None:
        nonlocal gone_on
        while True:
            gone_on += 1
            await asyncio.sleep(0)

    def spy(stored: Event, *, now: datetime) -> EventAnswer:
        at.add(gone_on)
        return real(stored, now=now)

    monkeypatch.setattr(turns, "MOMENT", timedelta(hours=-1))
    monkeypatch.setattr(answers, "event", spy)
    other = asyncio.create_task(go_on())

    found = await api.read("/events")

    other.cancel()
    assert len(found["data"]) == 5
    assert len(at) >= 4
