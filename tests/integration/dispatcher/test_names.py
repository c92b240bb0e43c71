from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio

from services.dispatcher import sender
from services.dispatcher.names import Names
from shared.domain.attempts import Outcome
from tests.integration.dispatcher.sending import LOOPBACK, SHORT, sent
from tests.receiver import Receiver


@pytest_asyncio.fixture
async def silence(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[threading.Event]:
    """No name server answers for `*.silent.example` before the event is set, or the test ends."""
    answered = threading.Event()
    look_up = socket.getaddrinfo

    def look_up_slowly(host: str, *rest: Any, **options: Any) -> Any:
        if host.endswith(".silent.example"):
            answered.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return look_up(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_slowly)
    yield answered
    answered.set()


async def test_names_that_nobody_answers_for_keep_no_others_waiting(silence: threading.Event) -> None:
    names = Names()
    silent = [asyncio.create_task(names.resolve(f"{number}.silent.example", 80)) for number in range(100)]
    await asyncio.sleep(0)

    found = await names.resolve("localhost", 80)

    assert "127.0.0.1" in [result["host"] for result in found]
    assert not any(task.done() for task in silent)
    silence.set()
    endings = await asyncio.gather(*silent, return_exceptions=True)
    assert {type(ending) for ending in endings} == {socket.gaierror}
    await names.close()


@pytest.mark.usefixtures("silence")
async def test_a_request_to_a_name_that_nobody_answers_for_is_a_timeout(receiver: Receiver) -> None:
    async with sender.open_session(LOOPBACK) as session:
        requests = [sent(session, f"http://{number}.silent.example/", within=SHORT) for number in range(50)]
        *silent, answered = await asyncio.gather(
            *requests, sent(session, receiver.url("/").replace("127.0.0.1", "localhost"))
        )

    assert {attempt.outcome for attempt in silent} == {Outcome.TIMEOUT}
    assert answered.outcome is Outcome.DELIVERED


@pytest.mark.parametrize("host", ["nobody.invalid", "a" * 64 + ".example", "a..b"])
async def test_a_name_without_an_address_raises(host: str) -> None:
    names = Names()
    try:
        with pytest.raises((OSError, UnicodeError)):
            await names.resolve(host, 80)
    finally:
        await names.close()
