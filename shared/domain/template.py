"""Custom bodies: any JSON whose strings may hold placeholders such as `{{event.name}}`. No logic, only values.

A string that is one placeholder becomes the value itself; inside a longer string the value is text. What is filled in
is never looked at again, so a value cannot bring placeholders of its own. Keys of objects are no templates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from shared.domain.content import Json
from shared.errors import BodyTooLarge

KNOWN = (
    "event.id",
    "event.name",
    "event.description",
    "event.tags",
    "event.version",
    "event.metadata",
    "occurrence.id",
    "occurrence.scheduled_at",
    "occurrence.recurrence_id",
    "occurrence.local",
    "delivery.attempt",
    "delivery.max_attempts",
    "delivery.late_by_ms",
    "delivery.missed_count",
    "delivery.catch_up",
    "delivery.replay",
)
LARGEST = 1024 * 1024
"""Bytes of a rendered body: a small one may name large metadata many times."""

_METADATA = "event.metadata"
_METADATA_PATH = re.compile(re.escape(_METADATA) + r"(?:\.[\w:@$/-]+)+")
_INDEX = re.compile(r"[0-9]{1,9}", re.ASCII)

Path = tuple[str | int, ...]


def unknown(body: Json, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Find the strings that hold a placeholder with an unknown name: where each is, and the first such name in it."""
    match body:
        case str() if "{{" in body:
            wrong = next((name for name in _split(body)[1::2] if not _is_known(name)), None)
            if wrong is not None:
                yield path, wrong
        case dict():
            for key, part in cast("dict[str, Json]", body).items():
                yield from unknown(part, (*path, key))
        case list():
            for index, part in enumerate(cast("list[Json]", body)):
                yield from unknown(part, (*path, index))
        case _:
            pass


def render(body: Json, values: Mapping[str, Json]) -> bytes:
    """Return the JSON of a body with its placeholders filled in; `values` has one for every name of `KNOWN`.

    BodyTooLarge when it would take more than `LARGEST` bytes, which is found out before they are there.
    """
    rendered = msgspec.json.encode(_Filling(values).fill(body))
    if len(rendered) > LARGEST:
        raise BodyTooLarge(f"the body takes {len(rendered)} bytes; {LARGEST} are allowed")
    return rendered


class _Filling:
    """Fills in one body, and counts what it puts in."""

    def __init__(self, values: Mapping[str, Json]) -> None:
        self._values = values
        self._texts: dict[str, str] = {}
        self._left = LARGEST

    def fill(self, body: Json) -> Json:
        """Return the body, or a part of it, with its values."""
        match body:
            case str():
                return self._fill_text(body) if "{{" in body else body
            case dict():
                return {key: self.fill(part) for key, part in cast("dict[str, Json]", body).items()}
            case list():
                return [self.fill(part) for part in cast("list[Json]", body)]
            case _:
                return body

    def _fill_text(self, text: str) -> Json:
        parts = _split(text)
        names = parts[1::2]
        parts[1::2] = [self._text_of(name) for name in names]
        if len(names) == 1 and not parts[0].strip() and not parts[2].strip():
            return _value_of(names[0], self._values)
        return "".join(parts)

    def _text_of(self, name: str) -> str:
        text = self._texts.get(name)
        if text is None:
            text = self._texts[name] = _as_text(_value_of(name, self._values))
        self._left -= len(text)
        if self._left < 0:
            raise BodyTooLarge(f"the body takes more than the {LARGEST} bytes that are allowed")
        return text


def _split(text: str) -> list[str]:
    """Return the texts and the names between braces in turn; the first and the last are texts."""
    parts: list[str] = []
    end = 0
    while (begin := text.find("{{", end)) >= 0 and (close := text.find("}}", begin + 2)) >= 0:
        parts += [text[end:begin], text[begin + 2 : close].strip()]
        end = close + 2
    return [*parts, text[end:]]


def _is_known(name: str) -> bool:
    return name in KNOWN or _METADATA_PATH.fullmatch(name) is not None


def _value_of(name: str, values: Mapping[str, Json]) -> Json:
    """Return a value, or what a path leads to in the metadata: members by name, elements by index, else null."""
    if name in values:
        return values[name]
    value: Any = values[_METADATA]
    for step in name.removeprefix(_METADATA + ".").split("."):
        match value:
            case dict():
                value = cast("dict[str, Json]", value).get(step)
            case list() if _INDEX.fullmatch(step) and int(step) < len(cast("list[Json]", value)):
                value = cast("list[Json]", value)[int(step)]
            case _:
                return None
    return value


def _as_text(value: Json) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
