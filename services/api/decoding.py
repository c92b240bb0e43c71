"""Read what a client sends into a typed struct, and report everything that is wrong with it at once.

A struct's fields say what is allowed: their types and `Meta` bound the values, and the description and example in
`Meta` become the hint and the example of an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, ValidationError
from msgspec.structs import FieldInfo

from shared.domain.content import Json
from shared.errors import MOST_ERRORS, FieldError, Invalid, Malformed

DEEPEST = 32
_LARGEST_INTEGER = 2**64
_NOT_UTF_8 = "\ufffd"
"""What stands in a parameter for bytes that are not UTF-8."""
_PATH = re.compile(r" - at `(?:key )?\$(.*)`$")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")

S = TypeVar("S", bound=Struct)


@cache
def fields_of(kind: type[Struct]) -> Mapping[str, FieldInfo]:
    """Return the fields of a struct by their names in JSON. To ask msgspec evaluates every annotation anew."""
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


def json_object(raw: bytes) -> dict[str, Json]:
    """Read a body; Malformed when it is not JSON, Invalid when it is no object or holds what cannot be stored."""
    try:
        document = msgspec.json.decode(raw)
    except RecursionError:
        raise Malformed("The body is nested too deeply to be read.") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise Malformed(f"The body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise Invalid([FieldError(pointer="", message="The body must be a JSON object.", example={"name": "…"})])
    errors = list(islice(_unstorable(cast("dict[str, Any]", document)), MOST_ERRORS + 1))
    if errors:
        raise Invalid(errors)
    return cast("dict[str, Json]", document)


def into(kind: type[S], document: Mapping[str, Json]) -> S:
    """Convert a document; Invalid with every field that will not do."""
    values, errors = convert(kind, document)
    if errors:
        raise Invalid(errors)
    return kind(**values)


def convert(kind: type[S], document: Mapping[str, Json], at: str = "") -> tuple[dict[str, Any], list[FieldError]]:
    """Convert a document field by field; return the arguments of `kind` that were good, and what was not.

    A null for a field that has a default means the default. With more wrong than is shown, the rest is not looked at.
    """
    values: dict[str, Any] = {}
    errors: list[FieldError] = []
    known = fields_of(kind)
    for name, value in document.items():
        if len(errors) > MOST_ERRORS:
            break
        field = known.get(name)
        if field is None:
            hint = f"Known fields: {', '.join(sorted(known))}."
            errors.append(FieldError(pointer=f"{at}/{escaped(name)}", message="This field is unknown.", hint=hint))
        elif value is not None or field.required:
            _convert_field(field, value, f"{at}/{name}", values, errors)
    for name, field in known.items():
        if field.required and name not in document:
            errors.append(_error(f"{at}/{name}", "This field is required.", field.type))
    return values, errors


def query(kind: type[S], given: Mapping[str, list[str]]) -> S:
    """Convert the parameters of a query; Invalid with every one that will not do."""
    values: dict[str, Any] = {}
    known = fields_of(kind)
    errors = [
        FieldError(pointer=name[:100], message="This parameter is unknown.", hint=f"Known: {', '.join(sorted(known))}.")
        for name in given
        if name not in known
    ]
    for name, field in known.items():
        texts = given.get(name, [])
        if len(texts) > 1:
            errors.append(FieldError(pointer=name, message="Give this parameter once."))
        elif texts and "\0" in texts[0]:
            errors.append(FieldError(pointer=name, message="A NUL character cannot be searched for."))
        elif texts and _NOT_UTF_8 in texts[0]:
            errors.append(FieldError(pointer=name, message="This is not UTF-8.", hint="Percent-encode UTF-8."))
        elif texts:
            try:
                values[field.name] = msgspec.convert(texts[0], _given(field.type), strict=False)
            except ValidationError as error:
                message = _PATH.sub("", str(error))
                errors.append(_error(name, message, field.type))
    if errors:
        raise Invalid(errors)
    return kind(**values)


@cache
def _given(kind: Any) -> Any:  # noqa: ANN401 - any annotation
    """Return the type of a parameter that is there: the text `null` is no null."""
    if type(None) not in get_args(kind):
        return kind
    return Union[tuple(part for part in get_args(kind) if part is not type(None))]  # noqa: UP007 - of a tuple


def _convert_field(
    field: FieldInfo, value: Json, pointer: str, values: dict[str, Any], errors: list[FieldError]
) -> None:
    inner = _struct_of(field.type) if isinstance(value, dict) else None
    if inner is not None:
        found, inner_errors = convert(inner, cast("dict[str, Json]", value), pointer)
        errors.extend(inner_errors)
        if all(f.name in found for f in fields_of(inner).values() if f.required):
            values[field.name] = inner(**found)
        return
    try:
        values[field.name] = msgspec.convert(value, field.type)
    except ValidationError as error:
        if isinstance(value, dict) and "[...]" in str(error):
            errors.extend(_bad_members(field, cast("dict[str, Json]", value), pointer))
            return
        path = _PATH.search(str(error))
        steps = [name or index for name, index in _STEP.findall(path[1])] if path else []
        kind = field.type
        for _ in steps:
            kind = _member_of(kind)
        errors.append(_error("/".join([pointer, *steps]), _PATH.sub("", str(error)), kind))


def _bad_members(field: FieldInfo, value: dict[str, Json], pointer: str) -> Iterator[FieldError]:
    """Find the members of a mapping that will not do; msgspec does not name them."""
    for name, member in value.items():
        try:
            msgspec.convert({name: member}, field.type)
        except ValidationError as error:
            yield _error(f"{pointer}/{escaped(name)}", _PATH.sub("", str(error)), _member_of(field.type))


def _member_of(kind: Any) -> Any:  # noqa: ANN401 - any annotation
    """Return the type of what a list or a mapping holds; None when that cannot be told."""
    if get_origin(kind) in (list, tuple, dict):
        return get_args(kind)[1 if get_origin(kind) is dict else 0]
    return next((found for part in _parts(kind) if (found := _member_of(part)) is not None), None)


def _parts(kind: Any) -> tuple[Any, ...]:  # noqa: ANN401 - any annotation
    """Return the types of which a value may have one; none for a type by itself."""
    if get_origin(kind) is Annotated:
        return get_args(kind)[:1]
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else ()


def _struct_of(kind: Any) -> type[Struct] | None:  # noqa: ANN401 - any annotation
    candidates = get_args(kind) if get_origin(kind) is not None else (kind,)
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, Struct)), None)


def _error(pointer: str, message: str, kind: Any) -> FieldError:  # noqa: ANN401 - any annotation
    if "matching regex" in message:
        message = "This holds a character that is not allowed."
    metas = list(_metas(kind))
    hint = next((meta.description for meta in metas if meta.description), None)
    example = next((meta.examples[0] for meta in metas if meta.examples), None)
    if hint is not None or example is not None:
        return FieldError(pointer=pointer, message=message, hint=hint, example=example)
    choices = list(_choices(kind))
    if choices:
        return FieldError(pointer=pointer, message=message, hint=f"One of {', '.join(choices)}.", example=choices[0])
    return FieldError(pointer=pointer, message=message)


def _choices(kind: Any) -> Iterator[str]:  # noqa: ANN401 - any annotation
    if get_origin(kind) is Literal:
        yield from (str(choice) for choice in get_args(kind))
    else:
        for part in _parts(kind):
            yield from _choices(part)


def _metas(kind: Any) -> Iterator[Meta]:  # noqa: ANN401 - any annotation
    """Find what is said about a value, the most particular first."""
    if get_origin(kind) is Annotated:
        yield from (m for m in reversed(get_args(kind)[1:]) if isinstance(m, Meta))
    for part in _parts(kind):
        yield from _metas(part)


def _unstorable(document: Mapping[str, Any]) -> Iterator[FieldError]:
    """Find NUL characters, integers beyond 64 bits and nesting that is too deep.

    A body may hold half a million values, so that each costs a look and no more; hence no recursion.
    """
    walks: list[Iterator[tuple[str | int, object]]] = [iter(document.items())]
    steps: list[str | int] = []
    while walks:
        for step, value in walks[-1]:
            kind = type(value)
            if isinstance(step, str) and "\0" in step:
                yield FieldError(pointer=_pointer(steps), message="A name holds a NUL character.", hint="Leave it out.")
            if kind is dict or kind is list:
                if len(walks) < DEEPEST:
                    walks.append(_members(cast("dict[str, object] | list[object]", value)))
                    steps.append(step)
                    break
                yield FieldError(
                    pointer=_pointer([*steps, step]), message=f"The nesting is deeper than {DEEPEST} levels."
                )
            elif isinstance(value, str) and "\0" in value:
                message = "A NUL character (\\u0000) cannot be stored."
                yield FieldError(pointer=_pointer([*steps, step]), message=message, hint="Leave it out.")
            elif isinstance(value, int) and not -_LARGEST_INTEGER < value < _LARGEST_INTEGER:
                message = "The integer needs more than 64 bits."
                path = [*steps, step]
                hint = "Send it as a string." if {"metadata", "body"} & {*path} else None
                yield FieldError(pointer=_pointer(path), message=message, hint=hint)
        else:
            walks.pop()
            del steps[-1:]


def _members(value: dict[str, object] | list[object]) -> Iterator[tuple[str | int, object]]:
    return iter(value.items() if isinstance(value, dict) else enumerate(value))


def _pointer(steps: Sequence[str | int]) -> str:
    return "".join(f"/{escaped(str(step))}" for step in steps)


def escaped(name: str) -> str:
    """Write a name as a step of a JSON pointer (RFC 6901), cut where it is absurdly long."""
    return name[:100].replace("~", "~0").replace("/", "~1")
