"""The contract as it is served: every route, every reference, every name once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest

from services.api import app, bodies, openapi

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
        node: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            assert step in node, reference
            node = node[step]


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
        if status.startswith(("4", "5")) and path != "/ready":
            assert list(response["content"]) == ["application/problem+json"], (method, status)
    if operation.get("security"):
        assert {"401", "403", "429"} <= operation["responses"].keys()
        assert "Retry-After" in operation["responses"]["429"]["headers"]
        for response in operation["responses"].values():
            assert {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} <= response["headers"].keys()
    else:
        assert "429" not in operation["responses"]
    if "requestBody" in operation:
        assert {"400", "413", "415", "422"} <= operation["responses"].keys()


def test_the_parameters_of_lists_are_those_that_are_read() -> None:
    documented = {each["name"] for each in DOCUMENT["paths"]["/events"]["get"]["parameters"]}

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
