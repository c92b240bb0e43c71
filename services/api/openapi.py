"""The OpenAPI document, made from the handlers themselves: what each takes, what it answers, and how it refuses.

A handler says in its `opt`: `needs` (the access), `body`, `query`, `answer` (structs), `codes` (the problems that only
it knows), `idempotent`, `conditional`, `chained`, `versioned`, `location` (headers). What all of a kind do alike is
added here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler

from services.api import codes, examples, headers, schemas
from services.api.problems import Problem
from services.api.schemas import JsonSchema
from shared.version import VERSION

_PATH_PARAMETER = re.compile(r"\{(\w+):\w+\}")
_UUID: JsonSchema = {"type": "string", "format": "uuid"}
_PATH_SCHEMAS: dict[str, JsonSchema] = {
    "recurrence_id": {
        "type": "string",
        "minLength": 1,
        "description": "The occurrence's original local start, or its original instant.",
        "examples": ["2027-03-20T09:00:00"],
    },
    "version": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
}
_NOT_FOUND = {
    "event_id": "event_not_found",
    "occurrence_id": "occurrence_not_found",
    "token_id": "token_not_found",
    "version": "version_not_found",
}
_ABOUT = """Tell Qhronos once when something is due, and it calls a webhook then: on time, signed, retried, recorded.

Send `Authorization: Bearer <token>` with every request but those about the service itself. Every error is a
problem document (RFC 9457) whose `errors` name each field, say why, and show what would pass. Its `code` is a stable
word: each operation lists those that it may answer."""


def document(handlers: Iterable[HTTPRouteHandler]) -> bytes:
    """Return the document as JSON."""
    documented = [handler for handler in handlers if {"answer", "media"} & handler.opt.keys() or handler.opt["needs"]]
    answered = schemas.of_answers(handler.opt["answer"] for handler in documented if "answer" in handler.opt)
    given = schemas.of_bodies((each.opt["body"] for each in documented if "body" in each.opt), taken=answered)
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
            "servers": [{"url": "/"}],
            "paths": paths,
            "components": {
                "schemas": answered | given,
                "examples": _examples(),
                "headers": headers.ANSWERED,
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            },
        }
    )


def words_of(handler: HTTPRouteHandler) -> set[str]:
    """Return the codes of the problems that a handler, or what stands before it, may answer with."""
    opt = handler.opt
    words = {"malformed_request", *opt.get("codes", ())}
    if opt["needs"] is not None:
        words |= {"unauthenticated", "rate_limited", "unavailable"}
    if opt["needs"] not in (None, "read"):  # every token may read
        words.add("forbidden")
    if "body" in opt:
        words |= {"request_timeout", "body_too_large", "unsupported_media_type", "validation_failed"}
    if "query" in opt:
        words.add("validation_failed")
    if opt.get("idempotent"):
        words |= {"idempotency_key_in_use", "idempotency_key_reused"}
    if opt.get("conditional"):
        words.add("precondition_failed")
    parameters = {name for path in handler.paths for name in _PATH_PARAMETER.findall(path)}
    return words | {_NOT_FOUND[name] for name in parameters if name in _NOT_FOUND}


def _operation(handler: HTTPRouteHandler, path: str) -> dict[str, Any]:
    opt = handler.opt
    operation: dict[str, Any] = {
        "operationId": handler.handler_name,
        "summary": (handler.fn.__doc__ or "").strip().splitlines()[0],
        "tags": [_group_of(path)],
        "parameters": [*_path_parameters(path), *_query_parameters(opt.get("query")), *headers.sent(opt)],
        "responses": _responses(handler),
    }
    if "body" in opt:
        operation["requestBody"] = _request_body(opt["body"])
    if opt["needs"] is not None:
        operation["security"] = [{"bearer": []}]
        operation["description"] = (
            f"Needs {'the master token' if opt['needs'] == 'master' else opt['needs'] + ' access'}."
        )
    return operation


def _group_of(path: str) -> str:
    first = path.split("/")[1]
    return first if first in ("tokens", "events", "occurrences", "schedules") else "service"


def _request_body(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Describe a body. No body at all is read as an empty object."""
    shown = {name: {"value": value} for name, value in examples.BODIES[kind].items()}
    required = any(field.required for field in msgspec.structs.fields(kind))
    content = {"schema": schemas.reference(kind), "examples": shown}
    return {"required": required, "content": {"application/json": content}}


def _responses(handler: HTTPRouteHandler) -> dict[str, Any]:
    opt = handler.opt
    success = HTTPStatus(handler.status_code)
    responses: dict[HTTPStatus, dict[str, Any]] = {success: {"description": success.phrase}}
    if "answer" in opt:
        responses[success]["content"] = {"application/json": _answer(opt["answer"])}
    if "media" in opt:
        responses[success]["content"] = {opt["media"]: {}}
    if opt.get("unready"):
        status = HTTPStatus.SERVICE_UNAVAILABLE
        responses[status] = {"description": status.phrase, "content": responses[success]["content"]}
    for status, words in codes.by_status(words_of(handler)).items():
        responses[status] = {
            "description": "\n".join(f"- `{word}`: {codes.CODES[status][word]}" for word in words),
            "content": {"application/problem+json": _problem(status, words)},
        }
    for status, response in responses.items():
        response["headers"] = headers.of_response(opt, status, success=status == success)
    return {str(status.value): response for status, response in responses.items()}


def _answer(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a struct or a generic of structs
    schema = schemas.reference(kind)
    name = schema["$ref"].rsplit("/", 1)[1]
    shown = {"example": {"$ref": f"#/components/examples/{name}"}} if name in examples.of_answers() else {}
    return {"schema": schema, **({"examples": shown} if shown else {})}


def _problem(status: HTTPStatus, words: list[str]) -> dict[str, Any]:
    narrowed = {"properties": {"status": {"const": status}, "code": {"enum": words}}}
    return {
        "schema": {"allOf": [schemas.reference(Problem), narrowed]},
        "examples": {word: {"$ref": f"#/components/examples/{word}.{status}"} for word in words},
    }


def _examples() -> dict[str, Any]:
    problems = {
        f"{word}.{status}": Problem(
            title=status.phrase, status=status, detail=meaning, code=word, request_id="6f1c0a5e9b7d4c2e8a3f5b7d9c1e0a2b"
        )
        for status, meanings in codes.CODES.items()
        for word, meaning in meanings.items()
    }
    return {name: {"value": value} for name, value in (examples.of_answers() | problems).items()}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _PATH_SCHEMAS.get(name, _UUID)}
        for name in _PATH_PARAMETER.findall(path)
    ]


def _query_parameters(kind: type[msgspec.Struct] | None) -> list[dict[str, Any]]:
    if kind is None:
        return []
    _, components = msgspec.json.schema_components([kind])
    return [
        {"name": name, "in": "query", "required": False, "schema": schemas.of_parameter(schema)}
        for name, schema in components[kind.__name__]["properties"].items()
    ]
