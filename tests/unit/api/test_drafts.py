"""A change is merged into an event's present fields by RFC 7396."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api import drafts
from shared.domain.content import Content
from shared.errors import Invalid
from tests.factories import content_of

CONTENT = content_of()
METADATA = {"a": "b", "c": {"d": "e", "f": "g"}, "h": [1]}

scalars = st.one_of(st.booleans(), st.integers(-9, 9), st.text(max_size=3))
without_null = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=6,
)
with_null = st.recursive(
    st.one_of(st.none(), scalars),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from("abc"), without_null, max_size=3)
patches = st.dictionaries(st.sampled_from("abc"), with_null, max_size=3)


def holding(metadata: dict[str, Any]) -> Content:
    return msgspec.structs.replace(CONTENT, metadata=metadata)


def merge_patch(target: Any, patch: Any) -> Any:
    """The pseudocode of RFC 7396 section 2, word for word."""
    if isinstance(patch, dict):
        changes = cast("dict[str, Any]", patch)
        result = dict(cast("dict[str, Any]", target)) if isinstance(target, dict) else {}
        for name, value in changes.items():
            if value is None:
                result.pop(name, None)
            else:
                result[name] = merge_patch(result.get(name), value)
        return result
    return patch


@given(objects, patches)
def test_metadata_merges_as_the_rfc_says(target: dict[str, Any], patch: dict[str, Any]) -> None:
    merged = drafts.merged(holding(target), {"metadata": patch})

    assert merged["metadata"] == merge_patch(target, patch)


def test_an_empty_change_is_the_document_of_the_content() -> None:
    document = drafts.merged(CONTENT, {})

    expected = {name: value for name, value in drafts.document_of(CONTENT).items() if value is not None}
    assert document == expected
    assert document["start_time"] == "2026-03-20T12:00:00Z"


def test_the_present_content_is_not_touched() -> None:
    content = holding(METADATA)

    drafts.merged(content, {"metadata": {"c": {"d": None, "x": 1}, "h": None}, "headers": {"x": "y"}})

    assert content == holding(METADATA)
    assert METADATA == {"a": "b", "c": {"d": "e", "f": "g"}, "h": [1]}


@pytest.mark.parametrize(
    ("patch", "name", "expected"),
    [
        ({"tags": ["x"]}, "tags", ["x"]),
        ({"description": None}, "description", None),
        ({"metadata": None}, "metadata", None),
        ({"metadata": {}}, "metadata", METADATA),
        ({"metadata": [1]}, "metadata", [1]),
        ({"schedule": {"frequency": "daily"}}, "schedule", {"frequency": "daily"}),
        ({"schedule": None}, "schedule", None),
        ({"status": "deleted"}, "status", None),
        ({"nope": 1}, "nope", 1),
    ],
)
def test_each_field_by_its_kind(patch: dict[str, Any], name: str, expected: Any) -> None:
    content = msgspec.structs.replace(holding(METADATA), tags=("a", "b"), description="old")

    assert drafts.merged(content, patch).get(name) == expected


def test_retry_merges_inside_and_its_list_is_replaced() -> None:
    merged = drafts.merged(CONTENT, {"retry": {"delays": ["PT9S"], "jitter": None}})

    assert merged["retry"] == {"max_attempts": 10, "delays": ["PT9S"], "max_age": None}


def test_in_takes_the_place_of_the_start() -> None:
    merged = drafts.merged(CONTENT, {"in": "PT5M"})

    assert "start_time" not in merged
    assert merged["in"] == "PT5M"
    assert {"start_time", "in"} <= drafts.merged(CONTENT, {"in": "PT5M", "start_time": "x"}).keys()
    assert drafts.merged(CONTENT, {"in": None}) == drafts.merged(CONTENT, {})


def test_required_fields_cannot_be_cleared_and_all_of_them_are_named() -> None:
    with pytest.raises(Invalid) as refused:
        drafts.merged(CONTENT, {"name": None, "webhook_url": None, "start_time": None})

    assert [error.pointer for error in refused.value.errors] == ["/name", "/webhook_url", "/start_time"]


def test_changed_fields_are_named_as_clients_name_them() -> None:
    timing = msgspec.structs.replace(CONTENT.timing, schedule="FREQ=DAILY")
    after = msgspec.structs.replace(CONTENT, name="New", timing=timing, tags=("x",))

    assert set(drafts.changed_fields(CONTENT, after)) == {"name", "schedule", "tags"}
    assert drafts.changed_fields(CONTENT, CONTENT) == []
