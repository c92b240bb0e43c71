"""JSON schemas of what is sent and answered, as strict and as lenient as the code that reads and writes it."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Container, Iterable
from functools import cache
from typing import Any

import msgspec

from services.api import bodies, drafts, override_changes
from services.api.problems import Problem

JsonSchema = dict[str, Any]

_REF = "#/components/schemas/{name}"
_NULL: JsonSchema = {"type": "null"}
_IGNORED: JsonSchema = {"description": "Only answered. Here it is ignored, so that an answer can be sent back."}
_NEVER_CLEARED = ("name", "webhook_url", "start_time")


def of_answers(kinds: Iterable[Any]) -> dict[str, JsonSchema]:
    """Return the schemas of answers by name. Every field is there but those that may be unset."""
    _, components = msgspec.json.schema_components(_sorted(kinds), ref_template=_REF)
    for schema in components.values():
        properties: dict[str, JsonSchema] = schema.get("properties", {})
        needed = {*schema.get("required", ()), *(name for name, each in properties.items() if "default" in each)}
        schema["required"] = [name for name in properties if name in needed]
        for each in properties.values():
            each.pop("default", None)
    _, problem = msgspec.json.schema_components([Problem], ref_template=_REF)
    problem["Problem"]["required"] = [name for name in problem["Problem"]["properties"] if name != "existing_id"]
    return components | problem


def of_bodies(kinds: Iterable[type[msgspec.Struct]], *, taken: Container[str]) -> dict[str, JsonSchema]:
    """Return the schemas of request bodies by name; one whose name is `taken` by that of an answer has another.

    A null for a field that has a default means the default. A change is merged into what is there.
    """
    _, found = msgspec.json.schema_components(_sorted({*kinds, bodies.NewEvent}), ref_template=_REF)
    for schema in found.values():
        for name, each in schema["properties"].items():
            if name not in schema.get("required", ()):
                schema["properties"][name] = _or_null(each)
    found[bodies.EventChange.__name__] = _change_of(found[bodies.NewEvent.__name__])
    found[bodies.OverrideChange.__name__]["properties"] |= dict.fromkeys(
        sorted(override_changes.ONLY_ANSWERED), _IGNORED
    )
    raw = msgspec.json.encode({f"Given{name}" if name in taken else name: each for name, each in found.items()})
    for name in found:
        if name in taken:
            raw = raw.replace(_REF.format(name=f'{name}"').encode(), _REF.format(name=f'Given{name}"').encode())
    return msgspec.json.decode(raw)


def of_parameter(schema: JsonSchema) -> JsonSchema:
    """Return the schema of a parameter, which is left out rather than null."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != _NULL]
    chosen = kinds[0] if len(kinds) == 1 else schema
    return {name: value for name, value in chosen.items() if not (name == "default" and value is None)}


@cache
def reference(kind: Any) -> JsonSchema:  # noqa: ANN401 - a struct or a generic of structs
    """Return a reference to the schema of a struct."""
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_REF)
    return schema


def _change_of(new: JsonSchema) -> JsonSchema:
    """Return the schema of a change of what `new` describes (RFC 7396)."""
    properties: dict[str, JsonSchema] = copy.deepcopy(new["properties"])
    for name, each in properties.items():
        each.pop("default", None)
        if name in _NEVER_CLEARED:
            properties[name] = _not_null(each)
    properties["headers"] = {
        "description": "Merged: null takes a header away.",
        "anyOf": [{"type": "object", "additionalProperties": {"type": ["string", "null"], "maxLength": 4096}}, _NULL],
    }
    return {
        **new,
        "title": bodies.EventChange.__name__,
        "description": inspect.getdoc(bodies.EventChange),
        "required": [],
        "properties": properties | dict.fromkeys(sorted(drafts.ONLY_ANSWERED), _IGNORED),
    }


def _or_null(schema: JsonSchema) -> JsonSchema:
    default = {"default": schema["default"]} if "default" in schema else {}
    if not {"type", "enum", "$ref", "anyOf"} & schema.keys() or _NULL in schema.get("anyOf", ()):
        return schema
    kinds = schema.get("anyOf") or [{name: value for name, value in schema.items() if name != "default"}]
    return {"anyOf": [*kinds, _NULL], **default}


def _not_null(schema: JsonSchema) -> JsonSchema:
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind != _NULL]
    return kinds[0]


def _sorted(kinds: Iterable[Any]) -> list[Any]:
    return sorted(set(kinds), key=str)
