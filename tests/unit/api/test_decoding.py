"""Bodies and queries: everything that is wrong is reported at once, each thing with its pointer."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from services.api import bodies, decoding
from shared.errors import MOST_ERRORS, Invalid, Malformed


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    size: Annotated[int, Meta(ge=1)] = 1
    word: str


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, description="Not empty.", examples=["Ada"])]
    count: int = 7
    inner: Inner | None = None
    words: list[Annotated[str, Meta(max_length=3)]] = []
    from_: str | None = msgspec.field(name="from", default=None)


def refused(document: dict[str, Any], kind: type[msgspec.Struct] = Thing) -> dict[str, str]:
    with pytest.raises(Invalid) as error:
        decoding.into(kind, document)
    return {each.pointer: each.message for each in error.value.errors}


def test_a_good_document_becomes_the_struct() -> None:
    document = {"name": "x", "inner": {"word": "w"}, "words": ["a"], "from": "here"}

    assert decoding.into(Thing, document) == Thing(name="x", inner=Inner(word="w"), words=["a"], from_="here")


def test_null_for_an_optional_field_is_its_default_and_for_a_required_one_an_error() -> None:
    assert decoding.into(Thing, {"name": "x", "count": None, "words": None}) == Thing(name="x")
    assert refused({"name": None}).keys() == {"/name"}


def test_all_errors_are_reported_at_once_with_their_pointers() -> None:
    document = {"count": "7", "inner": {"size": 0, "extra": 1}, "words": ["a", "long", 5], "a/b~c": 1}

    found = refused(document)

    assert found.keys() == {"/name", "/count", "/inner/size", "/inner/extra", "/inner/word", "/words/1", "/a~1b~0c"}


def test_an_unknown_field_names_those_that_are_known() -> None:
    with pytest.raises(Invalid) as error:
        decoding.into(Thing, {"name": "x", "nmae": "y"})

    [found] = error.value.errors
    assert found.pointer == "/nmae"
    assert found.hint is not None
    assert {"count", "from", "inner", "name", "words"} <= set(found.hint.replace(",", "").replace(".", "").split())


def test_the_description_and_the_example_of_a_field_become_the_hint_and_the_example() -> None:
    with pytest.raises(Invalid) as error:
        decoding.into(Thing, {"name": ""})

    [found] = error.value.errors
    assert (found.hint, found.example) == ("Not empty.", "Ada")


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"x", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b'{"a":"\\ud800"}', b"1e999", b'{"a":NaN}']
)
def test_what_is_not_json_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        decoding.json_object(raw)


@pytest.mark.parametrize("raw", [b"[]", b"null", b"1", b'"x"', b"true"])
def test_what_is_no_object_is_invalid(raw: bytes) -> None:
    with pytest.raises(Invalid) as error:
        decoding.json_object(raw)

    assert [each.pointer for each in error.value.errors] == [""]


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"a": "x\0"}, "/a"),
        ({"a": ["", {"b": "\0"}]}, "/a/1/b"),
        ({"a": {"x\0": 1}}, "/a"),
        ({"a": 2**64}, "/a"),
        ({"a": [-(2**64)]}, "/a/0"),
        ({"a": 10**400}, "/a"),
        ({"a/b": {"c~d": "\0"}}, "/a~1b/c~0d"),
    ],
)
def test_what_cannot_be_stored_is_invalid_wherever_it_stands(document: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Invalid) as error:
        decoding.json_object(json.dumps(document).encode())

    assert [each.pointer for each in error.value.errors] == [pointer]


@pytest.mark.parametrize("value", [2**64 - 1, -(2**64) + 1, 0, True, 1e308, None, "\u0001\U0001f98a"])
def test_what_can_be_stored_passes(value: Any) -> None:
    assert decoding.json_object(json.dumps({"a": value}).encode()) == {"a": value}


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def test_nesting_ends_at_a_depth() -> None:
    assert decoding.json_object(nested(decoding.DEEPEST))
    with pytest.raises(Invalid) as error:
        decoding.json_object(nested(decoding.DEEPEST + 1))

    assert [each.pointer for each in error.value.errors] == ["/a" * decoding.DEEPEST]


def test_a_look_for_what_cannot_be_stored_calls_nothing_for_what_can() -> None:
    raw = b'{"a": [' + b", ".join([b'0, "x", 1.5, null, true'] * 1000) + b"]}"
    calls = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        decoding.json_object(raw)
    finally:
        sys.setprofile(None)

    assert calls < 50, "a body of a megabyte would keep everybody waiting"


@pytest.mark.parametrize(
    "document",
    [
        {f"{n}": 0 for n in range(1000)},
        {"name": "x", "inner": {"word": "w", **{f"{n}": 0 for n in range(1000)}}},
        {"name": ["\0"] * 1000},
        {"name": [2**64] * 1000},
        {"name": {f"\0{n}": 0 for n in range(1000)}},
    ],
    ids=["unknown fields", "unknown inner fields", "NULs", "integers", "NULs in names"],
)
def test_no_more_errors_are_shown_than_somebody_would_read(document: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as error:
        decoding.into(Thing, decoding.json_object(json.dumps(document).encode()))

    assert len(error.value.errors) == MOST_ERRORS + 1
    assert error.value.errors[-1].message == "Only the first 100 errors are shown."
    assert len(str(error.value)) < 10_000


def test_a_query_is_read_by_its_types() -> None:
    wanted = decoding.query(bodies.EventQuery, {"limit": ["20"], "name": ["x"]})

    assert wanted == bodies.EventQuery(limit=20, name="x")
    assert decoding.query(bodies.EventQuery, {}).limit == 50


def test_every_bad_parameter_is_reported_at_once() -> None:
    given = {"limit": ["0"], "status": ["gone"], "name": ["a", "b"], "tags": ["x" * 9000], "created_after": ["\0"]}

    with pytest.raises(Invalid) as error:
        decoding.query(bodies.EventQuery, given)

    assert [each.pointer for each in error.value.errors] == ["tags", "status", "name", "created_after", "limit"]
