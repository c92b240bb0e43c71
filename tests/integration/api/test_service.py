"""The service about itself, open to everybody."""

from __future__ import annotations

import re

import msgspec
import pytest

from services.api import app as application
from services.api.context import Context
from tests.integration.api.client import MASTER, Api

OPEN = ["/health", "/ready", "/status", "/openapi.json", "/docs"]


@pytest.mark.parametrize("path", OPEN)
@pytest.mark.parametrize("token", [None, "wrong", MASTER])
async def test_these_routes_need_no_token_and_mind_no_bad_one(api: Api, path: str, token: str | None) -> None:
    assert (await api.bearing(token).http.get(path)).status_code == 200


async def test_health_and_readiness(api: Api) -> None:
    assert await api.read("/health") == {"status": "ok"}
    ready = await api.read("/ready")
    assert (ready["status"], ready["postgres"], ready["redis"]) == ("ready", "ok", "ok")
    assert ready["schema"]["found"] == ready["schema"]["needed"]


async def test_status_tells_whose_token_was_sent(api: Api) -> None:
    alice = await api.limited_to("write", "user:*", "x")

    status = await alice.read("/status")

    info = status["jwt"].pop("token_info")
    assert (info["sub"], info["access"], info["scope"]) == ("alice", "write", ["user:*", "x"])
    assert isinstance(info["exp"], int)
    assert status["jwt"] == {"issuer": "qhronos", "algorithm": "HS256", "default_exp_seconds": 3600}
    assert status["hmac"] == {
        "algorithm": "HMAC-SHA256",
        "signature_header": "X-Qhronos-Signature",
        "default_secret": "qhronos.io",
        "event_override_supported": True,
    }
    assert status.keys() == {"status", "uptime_seconds", "version", "jwt", "hmac"}
    assert status["uptime_seconds"] >= 0
    for token in (None, "wrong"):
        assert (await api.bearing(token).read("/status"))["jwt"]["token_info"] is None


async def test_a_default_secret_that_was_configured_is_not_shown(context: Context) -> None:
    config = msgspec.structs.replace(context.config, default_hmac_secret="a-secret-of-our-own")
    api = Api(application.build(Context(config, context.pool, context.redis)), MASTER)

    answer = await api.http.get("/status")

    assert answer.json()["hmac"]["default_secret"] == "***"
    assert "a-secret-of-our-own" not in answer.text


async def test_the_docs_page_loads_nothing_from_another_host(api: Api) -> None:
    page = await api.http.get("/docs")

    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r"https?://|\"//", page.text)
    sources: list[str] = re.findall(r'(?:src|href|spec-url)="([^"]+)"', page.text)
    assert "openapi.json" in sources
    for source in sources:
        assert (await api.http.get(f"/{source}")).status_code == 200


async def test_the_contract_that_is_served_is_the_one_that_is_made(api: Api) -> None:
    answer = await api.http.get("/openapi.json")

    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["openapi"].startswith("3.1")
