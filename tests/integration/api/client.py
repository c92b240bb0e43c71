"""Ask the API as its clients do: over HTTP, in JSON, with one token or with none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from litestar.types import ASGIApp

from services.api.settings import ApiSettings
from tests.factories import WEBHOOK_URL
from tests.integration.api import contract

MASTER = "test-master-token"
SIGNING_KEY = "test-jwt-secret-test-jwt-secret-0123"

Json = dict[str, Any]


class Api:
    """A client that sends one token with every request."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        headers: dict[bytes, bytes] = {b"authorization": f"Bearer {token}".encode("latin-1")} if token else {}
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),  # pyright: ignore[reportArgumentType] - the same, typed twice
            base_url="http://api.test",
            headers=headers,
            event_hooks={"response": [contract.hold]},
        )

    def bearing(self, token: str | None) -> Api:
        """Return a client of the same API that sends another token."""
        return Api(self._app, token)

    async def token(self, access: str = "read", *scope: str, sub: str = "alice") -> Json:
        """Create a token and return it."""
        body = {"type": "jwt", "sub": sub, "access": access, "scope": list(scope)}
        answer = await self.http.post("/tokens", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def limited_to(self, access: str, *scope: str, sub: str = "alice") -> Api:
        """Return a client with a token of its own."""
        return self.bearing((await self.token(access, *scope, sub=sub))["token"])

    async def create(self, **fields: object) -> Json:
        """Create an event, due once in an hour unless told otherwise, and return it as it is read."""
        answer = await self.http.post("/events", json=event_body(**fields))
        assert answer.status_code == 201, answer.text
        return as_read(answer.json())

    async def read(self, path: str, **params: str | int) -> Json:
        """Return what a path answers."""
        answer = await self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def change(self, event: Json, **fields: object) -> Json:
        """Change an event and return it."""
        body = {name.removesuffix("_"): value for name, value in fields.items()}
        answer = await self.http.patch(f"/events/{event['id']}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def occurrences_of(self, event: Json) -> list[Json]:
        """Return the occurrences of an event that are there, newest first."""
        return (await self.read(f"/events/{event['id']}/occurrences"))["data"]

    async def all_pages(self, path: str, **params: str | int) -> list[list[Json]]:
        """Follow the cursors of a list to its end."""
        pages: list[list[Json]] = []
        cursor: str | None = None
        while True:
            page = await self.read(path, **params, **({"cursor": cursor} if cursor else {}))
            pages.append(page["data"])
            cursor = page["next_cursor"]
            if cursor is None:
                return pages


def settings_of_tests() -> ApiSettings:
    """Return settings for an API that allows no private network, as in production."""
    return ApiSettings(
        env="test",
        database_url="",
        redis_url="",
        master_token=MASTER,
        jwt_secret=(SIGNING_KEY,),
        rate_limit_bucket=1_000_000,
        rate_limit_refill=10_000,
    )


def event_body(**fields: object) -> Json:
    """Return the body of an event that is due once, in an hour; `in_` stands for `in`."""
    given = {name.removesuffix("_"): value for name, value in fields.items()}
    when = {} if {"start_time", "in"} & given.keys() else {"in": "PT1H"}
    return {"name": "Water the plants", "webhook_url": WEBHOOK_URL, **when, **given}


def in_seconds(seconds: float) -> str:
    """Return the instant so many seconds from now, in UTC."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def as_read(created: Json) -> Json:
    """Return what is read of an event that was just created."""
    assert isinstance(created["similar_events"], list)
    return {name: value for name, value in created.items() if name != "similar_events"}


def ids(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the ids of what a list answered."""
    return [each["id"] for each in found]


def assert_problem(answer: httpx.Response, status: int, code: str | None = None) -> list[Json]:
    """Make sure that an answer is the problem document that was expected, and return its errors."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].split(";")[0] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "code", "request_id", "errors"}
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"]
    assert problem["code"]
    if code is not None:
        assert problem["code"] == code
    return problem["errors"]


def pointers(errors: Sequence[Json]) -> list[str]:
    """Return where the errors point."""
    return [error["pointer"] for error in errors]
