"""How many requests a caller may make: the headers, the refusals, the exceptions, and what happens without Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any, cast

import httpx
import jwt
import msgspec
import pytest
from litestar.types import ASGIApp

from services.api import app as application
from services.api import limiter
from services.api.context import Context
from shared import metrics
from shared.stream.client import Redis, open_client
from tests.integration.api.client import MASTER, SIGNING_KEY, Api, assert_problem, event_body
from tests.integration.waiting import until
from tests.patience import PATIENCE

BUCKET = 5
HEADERS = {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}
OPEN = ["/health", "/ready", "/status", "/docs", "/docs/rapidoc.js", "/openapi.json", "/favicon.ico", "/health/"]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """A slow machine is not what these tests are about."""
    monkeypatch.setattr(limiter, "PATIENCE", timedelta(seconds=PATIENCE))
    monkeypatch.setattr(limiter, "LONGEST_ANSWER", timedelta(seconds=PATIENCE))


def limited(context: Context, *, bucket: int = BUCKET, refill: float = 0.01) -> ASGIApp:
    """Return the API with a small bucket, which is not refilled while a test runs unless told otherwise."""
    config = msgspec.structs.replace(context.config, rate_limit_bucket=bucket, rate_limit_refill=refill)
    return application.build(Context(config, context.pool, context.redis))


@pytest.fixture
def api(context: Context) -> Api:
    return Api(limited(context), MASTER)


async def keys_of(redis: Redis) -> set[bytes]:
    return set(await cast("Any", redis).keys())


def remaining(answer: httpx.Response) -> int:
    return int(answer.headers["x-ratelimit-remaining"])


async def test_every_answer_tells_what_is_left_of_the_bucket(api: Api) -> None:
    begun = time.monotonic()
    answers = [await api.http.get("/events") for _ in range(BUCKET)]
    passed = time.monotonic() - begun

    assert [answer.status_code for answer in answers] == [200] * BUCKET
    assert [remaining(answer) for answer in answers] == [4, 3, 2, 1, 0]
    assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {"5"}
    for answer, reset in zip(answers, (100, 200, 300, 400, 500), strict=True):
        assert reset - passed <= int(answer.headers["x-ratelimit-reset"]) <= reset


async def test_one_request_too_many_is_429_and_says_when_to_try_again(api: Api) -> None:
    for _ in range(BUCKET):
        await api.http.get("/events")

    answer = await api.http.post("/events", json=event_body())

    assert_problem(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 100
    assert {name: answer.headers[name] for name in HEADERS - {"x-ratelimit-reset"}} == {
        "x-ratelimit-limit": "5",
        "x-ratelimit-remaining": "0",
    }
    assert answer.headers.get_list("x-request-id") == [answer.json()["request_id"]]


async def test_who_waits_as_told_is_admitted(context: Context) -> None:
    api = Api(limited(context, bucket=1, refill=1), MASTER)
    async with asyncio.timeout(PATIENCE):
        while (refused := await api.http.get("/events")).status_code != 429:
            pass

    assert refused.headers["retry-after"] == "1"
    await asyncio.sleep(int(refused.headers["retry-after"]))
    assert (await api.http.get("/events")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nope", b"", 404),
        ("GET", "/events/nope", b"", 404),
        ("DELETE", "/events", b"", 405),
        ("POST", "/events", b"{", 400),
        ("POST", "/events", b"{}", 422),
        ("POST", "/events", b" " * (2**20 + 1), 413),
    ],
)
async def test_errors_carry_the_headers_as_well(api: Api, method: str, path: str, body: bytes, status: int) -> None:
    answer = await api.http.request(method, path, content=body, headers={"content-type": "application/json"})

    assert_problem(answer, status)
    assert remaining(answer) == BUCKET - 1
    assert answer.headers.keys() >= HEADERS
    for name in HEADERS:
        assert len(answer.headers.get_list(name)) == 1


async def test_a_forbidden_request_counts_too(api: Api) -> None:
    alice = await api.limited_to("read", "a")

    assert_problem(await alice.http.post("/tokens", json={}), 403, "forbidden")
    assert remaining(await alice.http.get("/events")) == BUCKET - 2


async def test_each_token_has_a_bucket_of_its_own_named_by_its_id(api: Api, redis: Redis) -> None:
    alice, bob = await api.token("read", "a"), await api.token("read", "a")

    answers = [await api.bearing(token["token"]).http.get("/events") for token in (alice, alice, bob)]

    assert [remaining(answer) for answer in answers] == [4, 3, 4]
    assert await keys_of(redis) == {
        b"rate_limit:master",
        f"rate_limit:{alice['id']}".encode(),
        f"rate_limit:{bob['id']}".encode(),
    }


async def test_a_token_of_another_mint_is_limited_by_its_jti_whatever_its_text(api: Api) -> None:
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": "qhronos", "sub": "x", "access": "read", "scope": ["*"], "iat": now, "exp": now + 999, "jti": "any text",
    }  # fmt: skip
    answers = [
        await api.bearing(
            jwt.encode({**claims, "more": n}, SIGNING_KEY, algorithm="HS256")  # pyright: ignore[reportUnknownMemberType]
        ).http.get("/events")
        for n in range(2)
    ]

    assert [remaining(answer) for answer in answers] == [4, 3]


async def test_without_a_good_token_an_address_is_limited_whatever_it_sends(api: Api, redis: Redis) -> None:
    revoked = await api.token("read", "a")
    await api.http.delete(f"/tokens/{revoked['id']}")

    sent = [None, "wrong", revoked["token"], "a.b.c", None]
    answers = [await api.bearing(token).http.get("/events") for token in sent]

    assert [answer.status_code for answer in answers] == [401] * BUCKET
    assert_problem(await api.bearing("another").http.get("/nope"), 429, "rate_limited")
    assert await redis.exists("rate_limit:ip:127.0.0.1")
    assert (await api.http.get("/events")).status_code == 200


async def test_another_address_has_another_bucket(context: Context) -> None:
    app = limited(context, bucket=1)

    async def asked_by(address: str) -> int:
        transport = httpx.ASGITransport(app=app, client=(address, 1))  # pyright: ignore[reportArgumentType]
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
            return (await client.get("/events", headers={"x-forwarded-for": "192.0.2.9"})).status_code

    assert [await asked_by(address) for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2")] == [401, 429, 401]
    # With IPv6 a host has a /64 to choose from, and a socket for both shows IPv4 addresses in their mapped form.
    assert [await asked_by(address) for address in ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1")] == [
        401, 429, 401,
    ]  # fmt: skip
    assert [await asked_by(address) for address in ("::ffff:192.0.2.2", "::ffff:192.0.2.3")] == [429, 401]


@pytest.mark.parametrize("path", OPEN)
@pytest.mark.parametrize("token", [None, MASTER])
async def test_what_is_open_to_all_is_not_limited(api: Api, redis: Redis, path: str, token: str | None) -> None:
    answers = [await api.bearing(token).http.get(path) for _ in range(BUCKET + 1)]

    assert {answer.status_code for answer in answers} == {200}
    assert not HEADERS & answers[0].headers.keys()
    assert await keys_of(redis) == set()


async def test_of_many_requests_at_once_no_more_are_admitted_than_the_bucket_holds(api: Api) -> None:
    answers = await asyncio.gather(*(api.http.get("/events") for _ in range(40)))

    assert sorted(answer.status_code for answer in answers) == [200] * BUCKET + [429] * (40 - BUCKET)
    assert sorted(remaining(answer) for answer in answers if answer.status_code == 200) == [0, 1, 2, 3, 4]


class TestWithoutRedis:
    @pytest.fixture
    async def away(self, context: Context) -> AsyncGenerator[Context]:
        config = msgspec.structs.replace(context.config, rate_limit_bucket=1)
        async with open_client("unix:///nonexistent.sock") as redis:
            yield Context(config, context.pool, redis)

    @staticmethod
    def not_limited() -> float:
        [family] = metrics.NOT_LIMITED.collect()
        return next(sample.value for sample in family.samples if sample.name.endswith("_total"))

    async def test_requests_pass_without_the_headers_and_are_counted(
        self, away: Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limiter, "PATIENCE", timedelta(milliseconds=50))
        api, before = Api(application.build(away), MASTER), self.not_limited()

        answers = [await api.http.get("/events") for _ in range(3)]

        assert [answer.status_code for answer in answers] == [200] * 3
        assert not any(HEADERS & answer.headers.keys() for answer in answers)
        assert self.not_limited() == before + 3

    async def test_only_the_first_request_waits(self, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limiter, "PATIENCE", timedelta(milliseconds=50))
        monkeypatch.setattr(limiter, "PAUSE", timedelta(hours=1))
        accepted: list[asyncio.StreamWriter] = []

        async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.append(writer)

        server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, open_client(f"redis://127.0.0.1:{port}/0") as silent:
            limits = Context(context.config, context.pool, silent).limiter
            assert await limits.take("alice") is None

            monkeypatch.setattr(limiter, "PATIENCE", timedelta(hours=1))  # who waits now is still here at the end
            async with asyncio.timeout(PATIENCE):
                for _ in range(1000):
                    assert await limits.take("alice") is None

            assert len(accepted) <= 1
            for writer in accepted:
                writer.close()

    async def test_limits_hold_again_as_soon_as_redis_is_back(
        self, context: Context, redis: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limiter, "PATIENCE", timedelta(milliseconds=1))
        await redis.client_pause(3_600_000, all=False)  # pyright: ignore[reportUnknownMemberType]
        try:
            assert await context.limiter.take("alice") is None
        finally:
            await redis.client_unpause()  # pyright: ignore[reportUnknownMemberType]
        monkeypatch.setattr(limiter, "PATIENCE", timedelta(seconds=PATIENCE))

        await until(lambda: admitted(context))


async def admitted(context: Context) -> bool:
    taken = await context.limiter.take("alice")
    return taken is not None and taken.admitted
