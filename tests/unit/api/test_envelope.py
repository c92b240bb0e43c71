"""Every response carries one request id: the client's own when it is a sane one."""

from __future__ import annotations

import re
from typing import Any

import pytest

from services.api.envelope import Envelope

NEW = re.compile(rb"[0-9a-f]{32}")


async def bare(scope: Any, receive: Any, send: Any) -> None:
    _ = scope, receive
    await send({"type": "http.response.start", "status": 204, "headers": [(b"x-a", b"b")]})
    await send({"type": "http.response.body", "body": b""})


async def headers_of(*sent: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope: Any = {"type": "http", "method": "GET", "path": "/", "headers": list(sent)}
    await Envelope(bare)(scope, receive, send)
    assert [message["type"] for message in messages] == ["http.response.start", "http.response.body"]
    return messages[0]["headers"]


async def id_of(*sent: tuple[bytes, bytes]) -> bytes:
    [found] = [value for name, value in await headers_of(*sent) if name == b"x-request-id"]
    return found


@pytest.mark.parametrize("given", [b"a", b"!~", b"00-abc/def;1=2", b"x" * 128])
async def test_a_sane_id_comes_back(given: bytes) -> None:
    assert await id_of((b"x-request-id", given)) == given


@pytest.mark.parametrize(
    "given", [b"", b" ", b"a b", b"a\tb", b"x" * 129, b"\xc3\xa9", b"a\nb", b"a\n", b"\x7f", b"\0"]
)
async def test_any_other_id_is_replaced(given: bytes) -> None:
    assert NEW.fullmatch(await id_of((b"x-request-id", given)))


async def test_new_ids_differ_and_other_headers_stay() -> None:
    assert await id_of() != await id_of()
    assert (b"x-a", b"b") in await headers_of()


async def test_what_is_not_http_passes_through() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        _ = receive, send
        seen.append(scope["type"])

    unused: Any = None
    lifespan: Any = {"type": "lifespan"}
    await Envelope(app)(lifespan, unused, unused)

    assert seen == ["lifespan"]
