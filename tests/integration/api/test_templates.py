"""Custom bodies as clients write and read them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.domain import template
from tests.integration.api.client import Api, assert_problem, event_body, pointers

BODY = {"text": "{{event.name}} is due", "items": [{"at": "{{ occurrence.scheduled_at }}", "none": None}], "{{x}}": 1}


@pytest.mark.parametrize(
    "body",
    [BODY, "{{event.metadata.a.0.b}}", "a {{ b", [], {}, "", 0, False, 1.5, [None], {"a": None}, "{{" * 32_000],
    ids=lambda value: str(value)[:30],
)
async def test_a_body_is_answered_as_it_was_written(api: Api, body: Any) -> None:
    event = await api.create(body=body)
    read = await api.http.get(f"/events/{event['id']}")

    assert json.dumps(event["body"]) == json.dumps(read.json()["body"]) == json.dumps(body)
    answer = await api.http.put(f"/events/{event['id']}", content=read.content)
    assert answer.json() == read.json()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("{{nope}}", ["/body"]),
        ({"items": [{"text": "{{event.name}}"}, {"text": "<{{event.nam}}>"}]}, ["/body/items/1/text"]),
        ({"a/b": {"~": "{{}}"}, "c": ["{{event.metadata.}}", "{{event.metadata.x y}}"]},
         ["/body/a~1b/~0", "/body/c/0", "/body/c/1"]),
        (["{{x}}"] * 1000, [f"/body/{n}" for n in range(20)]),
        ({"a": "x" * 65_536}, ["/body"]),
        ({"a": "\0"}, ["/body/a"]),
        ({"a": 2**64}, ["/body/a"]),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_bad_body_is_refused_and_the_error_points_at_the_very_string(
    api: Api, method: str, body: Any, found: list[str]
) -> None:
    event = await api.create()
    path = "/events" if method == "POST" else f"/events/{event['id']}"

    answer = await api.http.request(method, path, json=event_body(body=body))

    assert pointers(assert_problem(answer, 422, "validation_failed")) == found


@pytest.mark.parametrize(
    ("written", "example"),
    [
        ("{{event.nam}}", "{{event.name}}"),
        ("{{ attempt }}", "{{delivery.attempt}}"),
        ("{{}}", "{{event.name}}"),
        ("{{" + "x" * 60_000 + "}}", "{{event.name}}"),
    ],
    ids=lambda value: value[:20],
)
async def test_the_error_lists_what_is_known_and_shows_what_would_pass(api: Api, written: str, example: str) -> None:
    [error] = assert_problem(await api.http.post("/events", json=event_body(body={"a": written})), 422)

    assert [name for name in template.KNOWN if name not in error["hint"]] == []
    assert "event.metadata.<name>" in error["hint"]
    assert error["example"] == example
    assert len(error["message"]) < 200
    assert (await api.create(body={"a": error["example"]}))["body"] == {"a": example}


async def test_a_nesting_that_is_too_deep_is_refused(api: Api) -> None:
    body: Any = "{{event.name}}"
    for _ in range(40):
        body = [body]

    [error] = assert_problem(await api.http.post("/events", json=event_body(body=body)), 422)

    assert error["pointer"].startswith("/body/0/0")


async def test_values_that_would_make_a_body_too_large_are_refused_whichever_comes_last(api: Api) -> None:
    many, large = ["{{event.metadata.a}}"] * 40, {"a": "x" * 60_000}
    event = await api.create(body=many)

    created = await api.http.post("/events", json=event_body(body=many, metadata=large))
    changed = await api.http.patch(f"/events/{event['id']}", json={"metadata": large})

    for answer in (created, changed):
        [error] = assert_problem(answer, 422)
        assert (error["pointer"], "1048576" in error["message"]) == ("/body", True)


async def test_all_errors_of_a_body_come_with_those_of_other_fields(api: Api) -> None:
    answer = await api.http.post("/events", json=event_body(name="", body=["{{x}}"], timeout="x"))

    assert sorted(pointers(assert_problem(answer, 422))) == ["/body/0", "/name", "/timeout"]


async def test_a_change_replaces_the_body_whole_and_null_brings_back_the_standard_one(api: Api) -> None:
    event = await api.create(body={"a": 1, "b": {"c": 2}})

    replaced = await api.change(event, body={"b": {"d": None}})
    kept = await api.change(event, name="New")
    retyped = await api.change(event, body={"b": {"d": False}})
    number = await api.change(event, body={"b": {"d": 0}})
    cleared = await api.change(event, body=None)

    assert replaced["body"] == kept["body"] == {"b": {"d": None}}
    assert (json.dumps(retyped["body"]), json.dumps(number["body"])) == ('{"b": {"d": false}}', '{"b": {"d": 0}}')
    assert (cleared["body"], cleared["version"]) == (None, 6)
