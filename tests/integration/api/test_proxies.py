"""Whose address counts when proxies are in front of the API, and what the API lets other sites' pages do: nothing."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any, cast

import httpx
import msgspec
import pytest
from litestar.types import ASGIApp

from services.api import app as application
from services.api import server
from services.api.context import Context
from tests.integration.api.client import Api, event_body

BUCKET = 5
PROXIES = ("10.20.0.0/16", "fd00:20::/64")


def served(context: Context, *trusted: str) -> ASGIApp:
    """Return the API as it is served, with buckets that are not refilled while a test runs."""
    config = msgspec.structs.replace(
        context.config,
        rate_limit_bucket=BUCKET,
        rate_limit_refill=0.01,
        trusted_proxies=tuple(ip_network(each) for each in trusted),
    )
    listening = server.build(application.build(Context(config, context.pool, context.redis)), config).config
    listening.load()
    return cast("Any", listening).loaded_app


async def left(app: ASGIApp, peer: str, *forwarded: str) -> int:
    """Send a request without a token from `peer`, and return how many more its client may make."""
    transport = httpx.ASGITransport(app=app, client=(peer, 50_000))  # pyright: ignore[reportArgumentType]
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        answer = await client.get("/events", headers=[("x-forwarded-for", each) for each in forwarded])
    assert answer.status_code == 401
    return int(answer.headers["x-ratelimit-remaining"])


@pytest.mark.parametrize("proxy", ["10.20.0.7", "10.20.255.1", "fd00:20::7"])
async def test_behind_a_trusted_proxy_each_client_has_a_bucket_of_its_own(context: Context, proxy: str) -> None:
    app = served(context, *PROXIES)

    assert [await left(app, proxy, address) for address in ("203.0.113.1", "203.0.113.2", "203.0.113.1")] == [4, 4, 3]


async def test_a_client_behind_several_trusted_proxies_has_one_bucket(context: Context) -> None:
    app = served(context, *PROXIES)

    assert await left(app, "10.20.0.7", "203.0.113.1, 10.20.0.8") == 4
    assert await left(app, "10.20.0.9", "203.0.113.1") == 3


async def test_what_a_client_says_itself_in_front_of_a_trusted_proxy_is_not_believed(context: Context) -> None:
    app = served(context, *PROXIES)

    assert await left(app, "10.20.0.7", "198.51.100.1, 203.0.113.1") == 4
    assert await left(app, "10.20.0.7", "198.51.100.2, 203.0.113.1") == 3
    assert await left(app, "10.20.0.7", "198.51.100.3", "203.0.113.1") == 2


@pytest.mark.parametrize(("trusted", "peer"), [(PROXIES, "10.21.0.7"), (PROXIES, "127.0.0.1"), ((), "127.0.0.1")])
async def test_nobody_else_can_choose_the_address_by_which_it_is_limited(
    context: Context, trusted: tuple[str, ...], peer: str
) -> None:
    app = served(context, *trusted)

    assert [await left(app, peer, address) for address in ("203.0.113.1", "203.0.113.2")] == [4, 3]


@pytest.mark.parametrize("path", ["/events", "/status", "/openapi.json", "/nowhere"])
async def test_no_page_of_another_site_may_read_an_answer(api: Api, path: str) -> None:
    origin = {"origin": "https://elsewhere.example"}
    preflight = {**origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}

    answers = [
        await api.http.get(path, headers=origin),
        await api.http.post(path, headers=origin, json=event_body()),
        await api.http.options(path, headers=preflight),
    ]

    assert not [name for answer in answers for name in answer.headers if name.startswith("access-control-")]
