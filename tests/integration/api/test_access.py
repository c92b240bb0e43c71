"""Who may do what, where: every route that needs a token, with every kind of access, in and out of scope."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from services.api import app as application
from tests.integration.api.client import Api, assert_problem, event_body, ids

MINE = "user:alice"


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A request that succeeds for whoever may make it."""

    method: str
    path: str
    needs: str
    ok: int
    body: dict[str, object] | None = None
    of_finished: bool = False
    """It is about an occurrence that is finished."""


ROUTES = [
    Route(
        method="POST", path="/tokens", needs="master", ok=201,
        body={"type": "jwt", "sub": "bob", "access": "read", "scope": ["a"]},
    ),
    Route(method="GET", path="/tokens", needs="admin", ok=200),
    Route(method="DELETE", path="/tokens/{token}", needs="admin", ok=204),
    Route(method="POST", path="/events", needs="write", ok=201),
    Route(method="POST", path="/events/batch", needs="write", ok=201),
    Route(method="GET", path="/events", needs="read", ok=200),
    Route(method="GET", path="/events/{event}", needs="read", ok=200),
    Route(method="PUT", path="/events/{event}", needs="write", ok=200, body={"description": "changed"}),
    Route(method="PATCH", path="/events/{event}", needs="write", ok=200, body={"description": "changed"}),
    Route(method="DELETE", path="/events/{event}", needs="write", ok=204),
    Route(method="POST", path="/events/{event}/trigger", needs="write", ok=202),
    Route(method="GET", path="/events/{event}/upcoming", needs="read", ok=200),
    Route(method="GET", path="/events/{event}/occurrences", needs="read", ok=200),
    Route(
        method="PUT", path="/events/{event}/overrides/{recurrence}", needs="write", ok=200, body={"excluded": True},
    ),
    Route(method="GET", path="/events/{event}/overrides", needs="read", ok=200),
    Route(method="GET", path="/events/{event}/versions", needs="read", ok=200),
    Route(method="GET", path="/events/{event}/versions/{version}", needs="read", ok=200),
    Route(method="POST", path="/events/{event}/versions/{version}/restore", needs="write", ok=200),
    Route(method="POST", path="/events/{event}/pause", needs="write", ok=200),
    Route(method="POST", path="/events/{event}/resume", needs="write", ok=200),
    Route(method="POST", path="/events/{event}/secret/rotate", needs="write", ok=200),
    Route(method="DELETE", path="/events/{event}/overrides/{recurrence}", needs="write", ok=204),
    Route(
        method="POST", path="/schedules/preview", needs="read", ok=200,
        body={"start_time": "2027-03-20T00:00:00Z", "schedule": "FREQ=DAILY"},
    ),
    Route(method="GET", path="/occurrences", needs="read", ok=200),
    Route(method="GET", path="/occurrences/{occurrence}", needs="read", ok=200),
    Route(method="GET", path="/occurrences/{occurrence}/attempts", needs="read", ok=200),
    Route(method="POST", path="/occurrences/{occurrence}/cancel", needs="write", ok=200),
    Route(method="POST", path="/occurrences/{occurrence}/replay", needs="write", ok=202, of_finished=True),
    Route(
        method="POST", path="/occurrences/replay", needs="write", ok=202,
        body={"status": "failed", "from": "2027-03-20T00:00:00Z", "to": "2027-03-21T00:00:00Z"},
    ),
]  # fmt: skip
OF_SCOPES = [route for route in ROUTES if not route.path.startswith("/tokens")]
ABOUT_ONE = [route for route in OF_SCOPES if "{" in route.path]
LISTS = [route for route in OF_SCOPES if route.method == "GET" and "{" not in route.path]
RANK = {"read": 0, "write": 1, "read_write": 1, "admin": 2, "master": 3}


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


def test_every_route_that_needs_a_token_is_in_the_table() -> None:
    served = {
        (method, path.replace("_id:str}", "}").replace(":str}", "}"))
        for handler in application.ROUTES
        if handler.opt["needs"] is not None
        for method in handler.http_methods
        for path in handler.paths
    }

    # A new route must be added to the table: nothing else tests who may use it, and on what.
    assert {(route.method, route.path) for route in ROUTES} == served


async def ask(api: Api, as_whom: Api, route: Route, tags: list[str]) -> tuple[int, str]:
    """Make the request about an event with these tags; return the status and the code of the problem, if any."""
    event = await api.create(tags=tags)
    coming = event["upcoming"][0]
    path = route.path.format(
        event=event["id"],
        occurrence=coming["occurrence_id"],
        recurrence=coming["recurrence_id"],
        token=(await api.token("read", "a"))["id"] if "{token}" in route.path else None,
        version=1,
    )
    if route.of_finished:
        await api.http.post(f"/occurrences/{coming['occurrence_id']}/cancel")
    created = event_body(tags=tags)
    bodies = {"POST /events": created, "POST /events/batch": {"events": [created]}}
    body = bodies.get(named(route), route.body)
    answer = await as_whom.http.request(route.method, path, json=body)
    if answer.status_code < 400:
        return answer.status_code, ""
    assert_problem(answer, answer.status_code)
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("route", ROUTES, ids=named)
@pytest.mark.parametrize("access", ["read", "write", "read_write", "admin"])
async def test_in_scope_access_decides(api: Api, access: str, route: Route) -> None:
    caller = await api.limited_to(access, "user:*")

    answered = await ask(api, caller, route, [MINE])

    assert answered == ((route.ok, "") if RANK[access] >= RANK[route.needs] else (403, "forbidden"))


@pytest.mark.parametrize("route", ABOUT_ONE, ids=named)
@pytest.mark.parametrize("tags", [["system:backup"], [], ["user"], ["USER:alice"]], ids=str)
async def test_out_of_scope_an_event_is_as_if_it_were_not_there(api: Api, route: Route, tags: list[str]) -> None:
    caller = await api.limited_to("write", "user:*", "team")

    status, code = await ask(api, caller, route, tags)

    assert (status, code.partition("_")[2]) == (404, "not_found")


UNKNOWN = "01a212d5-1765-705d-b3df-3de83c8b0038"
ODD = [
    {"headers": {"if-match": '"1"'}},
    {"headers": {"if-match": '"99"'}},
    {"headers": {"idempotency-key": "a"}},
    {"json": {"nope": 1}},
    {"json": {"scheduled_at": "2020-01-01T00:00:00Z", "metadata": {"a": "x" * 70_000}, "tags": ["system:backup"]}},
    {"content": b"{"},
    {"params": {"limit": "0", "cursor": "x"}},
]


@pytest.mark.parametrize("route", ABOUT_ONE, ids=named)
async def test_whatever_is_sent_an_event_out_of_scope_is_answered_as_an_unknown_one(api: Api, route: Route) -> None:
    event = await api.create(tags=["system:backup"], schedule="FREQ=DAILY", external_id="x")
    coming = event["upcoming"][0]
    caller = await api.limited_to("write", "user:*")
    places = {"recurrence": coming["recurrence_id"], "version": 1}
    foreign = route.path.format(event=event["id"], occurrence=coming["occurrence_id"], **places)
    unknown = route.path.format(event=UNKNOWN, occurrence=UNKNOWN, **places)

    async def answered(method: str, path: str, sent: dict[str, Any]) -> tuple[int, str, list[str]]:
        answer = await caller.http.request(method, path, **sent)
        changing = (answer.headers["x-request-id"], event["id"], coming["occurrence_id"], UNKNOWN)
        return answer.status_code, without(answer.text, changing), sorted(answer.headers)

    methods = {route.method, "HEAD", "OPTIONS", "TRACE"}
    if route.path == "/events/{event}":
        methods -= {"DELETE"}  # 204 when there is nothing to delete, by contract
    for method in methods:
        for odd in ({}, *ODD):
            sent = odd if "content" in odd else {"json": route.body, **odd}
            assert await answered(method, foreign, sent) == await answered(method, unknown, sent)


def without(text: str, changing: Iterable[str]) -> str:
    for each in changing:
        text = text.replace(each, "")
    return text


@pytest.mark.parametrize("route", LISTS, ids=named)
async def test_a_list_holds_only_what_is_in_scope(api: Api, route: Route) -> None:
    await api.create(tags=["system:backup"])
    await api.create()
    mine = [await api.create(tags=[MINE, "x"]), await api.create(tags=["team"])]
    caller = await api.limited_to("read", "user:*", "team")

    found = (await caller.read(route.path, limit=2))["data"]
    page = await caller.read(route.path, limit=2)

    event_ids = {each["id"] if route.path == "/events" else each["event_id"] for each in found}
    assert event_ids == set(ids(mine))
    assert page["next_cursor"] is None, "events out of scope are counted"


@pytest.mark.parametrize("route", [*ABOUT_ONE, *LISTS], ids=named)
@pytest.mark.parametrize("who", ["admin", "master", "star"])
async def test_admins_the_master_and_a_star_reach_every_event(api: Api, who: str, route: Route) -> None:
    callers = {"admin": ("admin", ()), "star": ("write", ("*",))}
    caller = await api.limited_to(callers[who][0], *callers[who][1]) if who in callers else api

    assert await ask(api, caller, route, []) == (route.ok, "")


@pytest.mark.parametrize("route", ROUTES, ids=named)
async def test_without_a_good_token_every_such_route_is_401(api: Api, route: Route) -> None:
    path = route.path.format(event="x", occurrence="x", recurrence="x", token="x", version=1)
    for token in (None, "wrong", "a.b.c", "\xfc"):
        answer = await api.bearing(token).http.request(route.method, path, json=route.body)

        assert_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Basic", "bearer ", "Token"])
async def test_only_a_bearer_token_counts_in_any_case(api: Api, scheme: str) -> None:
    token = api.http.headers["authorization"].split()[1]

    answer = await api.bearing(None).http.get("/events", headers={"authorization": f"{scheme} {token}"})

    assert answer.status_code == (200 if scheme.strip() == "bearer" else 401)


@pytest.mark.parametrize("tags", [["system:backup"], [], None])
async def test_creating_out_of_scope_is_403_and_stores_nothing(api: Api, tags: list[str] | None) -> None:
    caller = await api.limited_to("write", "user:*")

    answer = await caller.http.post("/events", json=event_body(**({} if tags is None else {"tags": tags})))

    assert_problem(answer, 403, "out_of_scope")
    assert (await api.read("/events"))["data"] == []


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_change_that_would_move_the_event_out_of_scope_is_403_and_changes_nothing(
    api: Api, method: str
) -> None:
    event = await api.create(tags=[MINE, "other"])
    caller = await api.limited_to("write", "user:*")

    answer = await caller.http.request(method, f"/events/{event['id']}", json={"tags": ["other"], "name": "Taken"})

    assert_problem(answer, 403, "out_of_scope")
    assert await api.read(f"/events/{event['id']}") == event


async def test_a_deleted_event_stays_out_of_sight_for_those_who_never_saw_it(api: Api) -> None:
    event = await api.create(tags=["system:backup"])
    caller = await api.limited_to("write", "user:*")
    await api.http.delete(f"/events/{event['id']}")

    assert_problem(await caller.http.delete(f"/events/{event['id']}"), 404, "event_not_found")
    assert (await caller.read("/events", status="deleted"))["data"] == []
    assert (await caller.read("/occurrences"))["data"] == []


async def test_a_version_or_a_restore_takes_nobody_beyond_the_scope(api: Api) -> None:
    event = await api.create(tags=["system:backup"])
    caller = await api.limited_to("write", "user:*")
    await api.change(event, tags=[MINE])
    shared = await api.read(f"/events/{event['id']}")

    answer = await caller.http.post(f"/events/{event['id']}/versions/1/restore")

    assert_problem(answer, 403, "out_of_scope")
    assert await api.read(f"/events/{event['id']}") == shared
    await api.change(event, tags=["system:backup"])
    assert_problem(await caller.http.post(f"/events/{event['id']}/versions/2/restore"), 404, "event_not_found")
