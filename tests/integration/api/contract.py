"""Hold answers against the OpenAPI document: status, content type, headers, code and body are what it tells of."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import httpx
import jsonschema_rs

from services.api import app, openapi

Json = dict[str, Any]

DOCUMENT: Json = json.loads(openapi.document(app.ROUTES))
_BUG = 500
"""Of which a document tells nothing."""


def operation_of(method: str, path: str) -> Json | None:
    """Return the operation that a request is for; None when it is for none."""
    found = next((template for template in _templates() if _templates()[template].fullmatch(path)), None)
    return None if found is None else DOCUMENT["paths"][found].get(method.lower())


async def hold(answer: httpx.Response) -> None:
    """Raise AssertionError unless the answer is one that its operation may give."""
    request = answer.request
    operation = operation_of(request.method, request.url.path)
    if operation is None or answer.status_code == _BUG:
        return
    await answer.aread()
    asked = f"{request.method} {request.url.path}"
    documented: Json | None = operation["responses"].get(str(answer.status_code))
    assert documented is not None, f"{asked}: {answer.status_code} is not documented: {answer.text}"
    for name in documented["headers"]:
        header = DOCUMENT["components"]["headers"][name]
        assert name in answer.headers or not header.get("required"), f"{asked}: no {name}"
        if name in answer.headers:
            value = answer.headers[name]
            read = int(value) if header["schema"].get("type") == "integer" else value
            assert _header(name).is_valid(read), f"{asked}: {name}: {value}"
    kind = answer.headers.get("content-type", "").split(";")[0]
    content: Json = documented.get("content", {})
    assert kind in content if content else not answer.content, f"{asked}: {kind} is not documented"
    if "schema" in content.get(kind, {}):
        _validator(operation["operationId"], str(answer.status_code), kind).validate(answer.json())


def validator_of(schema: Json) -> jsonschema_rs.Draft202012Validator:
    """Return what validates against a schema of the document."""
    return jsonschema_rs.Draft202012Validator({**schema, "components": DOCUMENT["components"]}, validate_formats=True)


@cache
def _header(name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(DOCUMENT["components"]["headers"][name]["schema"])


@cache
def _templates() -> dict[str, re.Pattern[str]]:
    """Return what paths look like, those without parameters first."""
    paths = sorted(DOCUMENT["paths"], key=lambda path: path.count("{"))
    return {path: re.compile(re.sub(r"\{\w+\}", "[^/]+", path)) for path in paths}


@cache
def _validator(operation_id: str, status: str, kind: str) -> jsonschema_rs.Draft202012Validator:
    [operation] = [
        operation
        for operations in DOCUMENT["paths"].values()
        for operation in operations.values()
        if operation["operationId"] == operation_id
    ]
    return validator_of(operation["responses"][status]["content"][kind]["schema"])
