"""The contract as it is served: every route, every reference, every name once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import jsonschema_rs
import msgspec
import pytest
from litestar.handlers import HTTPRouteHandler

from services.api import app, bodies, codes, drafts, openapi, override_changes

ROOT = Path(__file__).parents[3]

DOCUMENT: dict[str, Any] = json.loads(openapi.document(app.ROUTES))
OPERATIONS: list[tuple[str, str, dict[str, Any]]] = [
    (path, method, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()
]
IN_THE_CONTRACT = {
    ("post", "/tokens"),
    ("get", "/tokens"),
    ("delete", "/tokens/{token_id}"),
    ("post", "/events"),
    ("post", "/events/batch"),
    ("get", "/events"),
    ("get", "/events/{event_id}"),
    ("put", "/events/{event_id}"),
    ("patch", "/events/{event_id}"),
    ("delete", "/events/{event_id}"),
    ("post", "/events/{event_id}/trigger"),
    ("post", "/events/{event_id}/secret/rotate"),
    ("get", "/events/{event_id}/upcoming"),
    ("get", "/events/{event_id}/occurrences"),
    ("put", "/events/{event_id}/overrides/{recurrence_id}"),
    ("get", "/events/{event_id}/overrides"),
    ("delete", "/events/{event_id}/overrides/{recurrence_id}"),
    ("get", "/events/{event_id}/versions"),
    ("get", "/events/{event_id}/versions/{version}"),
    ("post", "/events/{event_id}/versions/{version}/restore"),
    ("get", "/occurrences"),
    ("get", "/occurrences/{occurrence_id}"),
    ("get", "/occurrences/{occurrence_id}/attempts"),
    ("post", "/occurrences/{occurrence_id}/cancel"),
    ("post", "/occurrences/{occurrence_id}/replay"),
    ("post", "/occurrences/replay"),
    ("get", "/health"),
    ("get", "/ready"),
    ("get", "/status"),
}


def references(node: Any) -> Iterator[str]:
    match node:
        case dict():
            members = cast("dict[str, Any]", node)
            if isinstance(members.get("$ref"), str):
                yield members["$ref"]
            for value in members.values():
                yield from references(value)
        case list():
            for value in cast("list[Any]", node):
                yield from references(value)
        case _:
            pass


def test_the_document_is_openapi_3_1_with_a_bearer_scheme() -> None:
    assert re.fullmatch(r"3\.1\.\d", DOCUMENT["openapi"])
    assert DOCUMENT["info"]["title"]
    [scheme] = DOCUMENT["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_every_route_of_the_contract_is_documented() -> None:
    assert {(method, path) for path, method, _ in OPERATIONS} >= IN_THE_CONTRACT


def test_every_route_that_needs_a_token_is_documented_and_says_so() -> None:
    needing = {
        (method.lower(), re.sub(r":\w+\}", "}", path))
        for handler in app.ROUTES
        if handler.opt.get("needs") is not None
        for path in handler.paths
        for method in handler.http_methods
    }

    secured = {(method, path) for path, method, operation in OPERATIONS if operation.get("security")}

    assert secured == needing


def test_every_reference_resolves() -> None:
    found = set(references(DOCUMENT))

    assert found
    for reference in found:
        assert resolved(reference)


def test_what_creates_events_takes_the_trace_of_a_webhook() -> None:
    taking = {
        (method, path)
        for path, method, operation in OPERATIONS
        for each in operation["parameters"]
        if (each["in"], each["name"]) == ("header", "tracestate")
    }

    assert taking == {("post", "/events"), ("post", "/events/batch")}


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for _, _, operation in OPERATIONS]

    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=lambda value: str(value)[:30])
def test_an_operation_says_what_it_takes_and_gives(path: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    parameters = {(each["in"], each["name"]): each for each in operation["parameters"]}
    assert {name for where, name in parameters if where == "path"} == set(re.findall(r"\{(\w+)\}", path))
    assert all(each["required"] for (where, _), each in parameters.items() if where == "path")
    assert any(status.startswith("2") for status in operation["responses"])
    for status, response in operation["responses"].items():
        assert response["description"]
        assert "X-Request-ID" in response["headers"]
        if status.startswith(("4", "5")) and path != "/ready":
            assert list(response["content"]) == ["application/problem+json"], (method, status)
    if operation.get("security"):
        assert {"400", "401", "429", "503"} <= operation["responses"].keys()
        assert "Retry-After" in operation["responses"]["429"]["headers"]
        for response in operation["responses"].values():
            assert {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} <= response["headers"].keys()
    else:
        assert "429" not in operation["responses"]
    if "requestBody" in operation:
        assert {"400", "408", "413", "415", "422"} <= operation["responses"].keys()


def test_the_parameters_of_lists_are_those_that_are_read() -> None:
    parameters = DOCUMENT["paths"]["/events"]["get"]["parameters"]
    documented = {each["name"] for each in parameters if each["in"] == "query"}

    assert documented == {field.encode_name for field in msgspec.structs.fields(bodies.EventQuery)}


def test_the_fields_of_a_new_event_are_those_that_are_read() -> None:
    schema = DOCUMENT["components"]["schemas"]["NewEvent"]

    assert set(schema["properties"]) == {field.encode_name for field in msgspec.structs.fields(bodies.NewEvent)}
    assert set(schema["required"]) == {"name", "webhook_url"}
    assert "hmac_secret" not in DOCUMENT["components"]["schemas"]["EventAnswer"]["properties"]


def test_requests_that_may_be_repeated_take_a_key() -> None:
    keyed = {
        (method, path)
        for path, method, operation in OPERATIONS
        if any(each["in"] == "header" and each["name"] == "Idempotency-Key" for each in operation["parameters"])
    }

    assert keyed == {("post", "/events"), ("post", "/events/batch"), ("post", "/events/{event_id}/trigger")}


def test_every_code_that_is_raised_is_listed_and_every_one_that_is_listed_is_raised() -> None:
    listed = {word for meanings in codes.CODES.values() for word in meanings}
    source = "".join(
        path.read_text() for top in ("services/api", "shared") for path in (ROOT / top).rglob("*.py")
        if path.name not in ("codes.py", "openapi.py")
    )  # fmt: skip
    raised = set(re.findall(r'\bcode\s*=\s*"(\w+)"|"code=(\w+)"', source))
    named = {word for pair in raised for word in pair if word} - {"not_found", "conflict"}  # of classes, never raised

    assert named <= listed
    assert [word for word in listed if f'"{word}"' not in source and not made_up_of_parts(word)] == []


def made_up_of_parts(word: str) -> bool:
    """Tell whether a word is put together where it is raised, of `{what}_not_found` or `event_{status}`."""
    return word.endswith("_not_found") or word in {"event_deleted", "event_disabled"}


@pytest.mark.parametrize("handler", app.ROUTES, ids=lambda handler: handler.handler_name)
def test_a_handler_names_only_codes_that_there_are(handler: HTTPRouteHandler) -> None:
    assert openapi.words_of(handler)
    assert codes.by_status(openapi.words_of(handler))


def test_a_code_that_nobody_knows_is_not_documented() -> None:
    with pytest.raises(KeyError):
        codes.by_status(["no_such_word"])


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=lambda value: str(value)[:30])
def test_a_problem_is_shown_with_each_code_and_each_example_fits(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    for status, response in operation["responses"].items():
        for kind, content in response.get("content", {}).items():
            schema: dict[str, Any] = content.get("schema", {})
            examples = [resolved(each["$ref"])["value"] for each in content.get("examples", {}).values()]
            if schema:
                assert examples or path in ("/health", "/ready", "/status"), (method, status)
                for example in examples:
                    validator_of(schema).validate(example)
            if kind == "application/problem+json":
                assert [each["code"] for each in examples] == schema["allOf"][1]["properties"]["code"]["enum"]


@pytest.mark.parametrize("name", [name for name in DOCUMENT["components"]["schemas"] if name != "FieldError"])
def test_a_schema_is_one_and_its_own_examples_fit(name: str) -> None:
    schema = DOCUMENT["components"]["schemas"][name]

    assert jsonschema_rs.meta.is_valid({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
    for each in schema["properties"].values():
        for kind in [each, *each.get("anyOf", [])]:
            for example in kind.get("examples", []):
                validator_of(kind).validate(example)


@pytest.mark.parametrize(
    "name", [kind.__name__ for kind in {handler.opt.get("body") for handler in app.ROUTES} if kind]
)
def test_a_body_is_documented_to_refuse_unknown_fields(name: str) -> None:
    schema = DOCUMENT["components"]["schemas"][name]

    assert schema["additionalProperties"] is False
    ignored = {field for field, each in schema["properties"].items() if each.get("description", "").startswith("Only")}
    only_answered = {"EventChange": drafts.ONLY_ANSWERED, "OverrideChange": override_changes.ONLY_ANSWERED}
    assert ignored == only_answered.get(name, frozenset())


def resolved(reference: str) -> Any:
    node: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def validator_of(schema: Any) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({**schema, "components": DOCUMENT["components"]}, validate_formats=True)
