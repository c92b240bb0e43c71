"""The OpenAPI document, made from the handlers themselves: their paths, bodies, queries, answers and error statuses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler

from services.api.idempotency import HEADER
from services.api.problems import Problem
from shared.domain import chains
from shared.version import VERSION

JsonSchema = dict[str, Any]

_REF = "#/components/schemas/{name}"
_PATH_PARAMETER = re.compile(r"\{(\w+):\w+\}")
_UUID: JsonSchema = {"type": "string", "format": "uuid"}
_PATH_SCHEMAS: dict[str, JsonSchema] = {
    "recurrence_id": {
        "type": "string",
        "description": "The occurrence's original local start, or its original instant.",
        "examples": ["2027-03-20T09:00:00"],
    },
    "version": {"type": "integer", "minimum": 1},
}
_HEADERS: dict[str, dict[str, Any]] = {  # by what a handler says of itself
    "idempotent": {
        "name": HEADER,
        "description": "The same key with the same body is answered as the first time, for 24 hours; only success is "
        "remembered. With another body: 422; while the first is still running: 409.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x20-\x7e]+$"},
    },
    "conditional": {
        "name": "If-Match",
        "description": "The entity tag of the version to change; with another current one: 412.",
        "schema": {"type": "string"},
    },
    "chained": {
        "name": chains.HEADER,
        "description": "As it came with the webhook that is being handled, like `traceparent`; OpenTelemetry passes "
        "both on. Its member `qhronos` names the event whose webhooks led to this request. When they have created too "
        "many events in 24 hours: 429, which names those to delete. One that cannot be read is ignored.",
        "schema": {"type": "string"},
        "example": "qhronos=01a20ed0e62179f59ce6de4d6480a891",
    },
}
_RATE_LIMIT = {
    "X-RateLimit-Limit": "How many requests the token's bucket holds.",
    "X-RateLimit-Remaining": "How many of them are left.",
    "X-RateLimit-Reset": "Seconds until the bucket is full again.",
}
_ANSWERED_HEADERS = {**_RATE_LIMIT, "Retry-After": "Seconds after which to try again."}
_RETRIED = ("429", "503")
_ABOUT = """Tell Qhronos once when something is due, and it calls a webhook then: on time, signed, retried, recorded.

Send `Authorization: Bearer <token>` with every request but those about the service itself. Every error is a
problem document (RFC 9457) whose `errors` name each field, say why, and show what would pass."""


def document(handlers: Iterable[HTTPRouteHandler]) -> bytes:
    """Return the document as JSON."""
    documented = [handler for handler in handlers if "answer" in handler.opt or handler.opt["needs"] is not None]
    structs = {kind for handler in documented for kind in _structs(handler.opt)}
    _, components = msgspec.json.schema_components([*sorted(structs, key=str), Problem], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for handler in documented:
        for path in handler.paths:
            shown = _PATH_PARAMETER.sub(r"{\1}", path)
            for method in handler.http_methods:
                paths.setdefault(shown, {})[method.lower()] = _operation(handler, path)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Qhronos", "version": VERSION, "description": _ABOUT, "license": {"name": "MIT"}},
            "paths": paths,
            "components": {
                "schemas": components,
                "headers": {
                    name: {"description": about, "schema": {"type": "integer"}}
                    for name, about in _ANSWERED_HEADERS.items()
                },
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            },
        }
    )


def _structs(opt: Mapping[str, Any]) -> list[Any]:
    return [opt[name] for name in ("body", "answer") if name in opt]


def _operation(handler: HTTPRouteHandler, path: str) -> dict[str, Any]:
    opt = handler.opt
    operation: dict[str, Any] = {
        "operationId": handler.handler_name,
        "summary": (handler.fn.__doc__ or "").strip().splitlines()[0],
        "tags": [_group_of(path)],
        "parameters": [
            *_path_parameters(path),
            *_query_parameters(opt.get("query")),
            *_header_parameters(opt),
        ],
        "responses": _responses(handler),
    }
    if "body" in opt:
        schema = _schema(opt["body"])
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if opt["needs"] is not None:
        operation["security"] = [{"bearer": []}]
        operation["description"] = (
            f"Needs {'the master token' if opt['needs'] == 'master' else opt['needs'] + ' access'}."
        )
    return operation


def _group_of(path: str) -> str:
    first = path.split("/")[1]
    return first if first in ("tokens", "events", "occurrences", "schedules") else "service"


def _responses(handler: HTTPRouteHandler) -> dict[str, Any]:
    opt = handler.opt
    success = HTTPStatus(handler.status_code)
    answer: dict[str, Any] = {"description": success.phrase}
    if "answer" in opt:
        answer["content"] = {"application/json": {"schema": _schema(opt["answer"])}}
    responses: dict[str, Any] = {str(success.value): answer}
    errors = {*opt.get("codes", [])}
    if opt["needs"] is not None:
        errors |= {401, 403, 429, 503}
    if "body" in opt:
        errors |= {400, 413, 415, 422}
    if "query" in opt:
        errors |= {422}
    for status in sorted(errors):
        kind = opt["answer"] if handler.handler_name == "get_ready" else Problem
        media = "application/json" if kind is not Problem else "application/problem+json"
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {media: {"schema": _schema(kind)}},
        }
    if opt["needs"] is not None:
        for status, response in responses.items():
            names = [*_RATE_LIMIT, "Retry-After"] if status in _RETRIED else _RATE_LIMIT
            response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    return responses


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _PATH_SCHEMAS.get(name, _UUID)}
        for name in _PATH_PARAMETER.findall(path)
    ]


def _query_parameters(kind: type[msgspec.Struct] | None) -> list[dict[str, Any]]:
    if kind is None:
        return []
    _, components = msgspec.json.schema_components([kind], ref_template=_REF)
    return [
        {"name": name, "in": "query", "required": False, "schema": _without_null(schema)}
        for name, schema in components[kind.__name__]["properties"].items()
    ]


def _header_parameters(opt: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"in": "header", "required": False, **_HEADERS[name]} for name in _HEADERS if opt.get(name)]


def _without_null(schema: JsonSchema) -> JsonSchema:
    """Return the schema of a parameter, which is left out rather than null."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    chosen = kinds[0] if len(kinds) == 1 else schema
    return {name: value for name, value in chosen.items() if not (name == "default" and value is None)}


def _schema(kind: Any) -> JsonSchema:  # noqa: ANN401 - a struct or a generic of structs
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_REF)
    return schema
