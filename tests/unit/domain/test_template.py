"""Templates: what is a placeholder, what it becomes, and how much may come of it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import template
from shared.errors import BodyTooLarge
from tests import costs

METADATA = {
    "text": 'say "hi"',
    "zero": 0,
    "no": False,
    "none": None,
    "half": 0.5,
    "deep": {"list": [{"x": "found"}, [7]], "0": "by name", "größe": "ü"},
    "a-b:c/@$": "odd",
}
VALUES: dict[str, Any] = {**dict.fromkeys(template.KNOWN), "event.name": "Plants", "event.metadata": METADATA}

texts = st.text(st.characters(codec="utf-8"), max_size=20)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False), texts
)
bodies = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=12,
)
tricky = st.lists(
    st.sampled_from(["{", "}", "{{", "}}", "event.name", "event.metadata.text", ".", " ", "a"]), max_size=12
).map("".join)


def rendered(body: Any, **metadata: Any) -> Any:
    values = VALUES | {"event.metadata": metadata} if metadata else VALUES
    return json.loads(template.render(body, values))


def _is_known(name: str) -> bool:
    return name in template.KNOWN or name.startswith("event.metadata.")


def unknown(body: Any) -> list[tuple[template.Path, str]]:
    return list(template.unknown(body))


@given(bodies.filter(lambda body: "{{" not in json.dumps(body)))
def test_a_body_without_double_braces_is_sent_as_it_is(body: Any) -> None:
    assert json.dumps(rendered(body)) == json.dumps(body)
    assert unknown(body) == []


@given(bodies, texts.filter(lambda name: not {"{", "}"} & set(name) and not _is_known(name.strip())))
def test_an_unknown_name_is_found_wherever_it_stands(body: Any, name: str) -> None:
    found = dict(unknown({"a": [body, f"<{{{{{name}}}}}>"]}))

    assert found["a", 1] == name.strip()


@given(tricky)
def test_what_is_filled_in_is_never_read_as_a_template(value: str) -> None:
    for text in ("{{event.metadata.x}}", "<{{event.metadata.x}}{{event.metadata.x}}>", "{ {{event.metadata.x}} }"):
        assert rendered(text, x=value) == text.replace("{{event.metadata.x}}", value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{event.name}}", "Plants"),
        ("{{event.metadata}}", METADATA),
        ("  {{  event.metadata.zero\t}}\n", 0),
        ("{{event.metadata.no}}", False),
        ("{{event.metadata.half}}", 0.5),
        ("{{event.metadata.none}}", None),
        ("{{event.metadata.deep.list}}", [{"x": "found"}, [7]]),
    ],
)
def test_a_string_that_is_one_placeholder_becomes_the_value_itself(text: str, expected: Any) -> None:
    found = rendered([text])[0]

    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<{{event.name}}>", "<Plants>"),
        ("{{event.name}}{{event.name}}", "PlantsPlants"),
        ("{{event.name}} {{ event.metadata.zero }}", "Plants 0"),
        ("{{event.metadata.text}}.", 'say "hi".'),
        ("no: {{event.metadata.no}}, none: {{event.metadata.none}}, half: {{event.metadata.half}}",
         "no: false, none: , half: 0.5"),
        ('{"list":{{event.metadata.deep.list}}}', '{"list":[{"x":"found"},[7]]}'),
        ("{{event.metadata.deep.größe}}{{event.metadata.a-b:c/@$}}", "üodd"),
        ("a {{ b", "a {{ b"),
        ("a }} b {{", "a }} b {{"),
        ("{ {event.name} }", "{ {event.name} }"),
        ("{{event.name}} {{", "Plants {{"),
    ],
)  # fmt: skip
def test_inside_a_longer_string_a_value_is_text(text: str, expected: str) -> None:
    assert unknown(text) == []
    assert rendered(text) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("deep.list.0.x", "found"),
        ("deep.list.1.0", 7),
        ("deep.0", "by name"),
        ("deep.list.2", None),
        ("deep.list.-1", None),
        ("deep.list.x", None),
        ("deep.list." + "9" * 5000, None),
        ("deep.list.\u0661", None),
        ("nope", None),
        ("text.x", None),
        ("text.0", None),
        ("none.x", None),
        ("zero.real", None),
        ("deep.items", None),
    ],
)
def test_a_path_leads_through_members_and_elements_or_to_null(path: str, expected: Any) -> None:
    assert rendered(f"{{{{event.metadata.{path}}}}}") == expected
    assert rendered(f"<{{{{event.metadata.{path}}}}}>") == f"<{'' if expected is None else expected}>"


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "event", "event.nam", "Event.name", "event.name.x", "event.id.x", "event.metadata.",
        "event.metadata..a", "event.metadata.a.", "event.metadata.a b", "event.metadata.a|upper", "event.metadata[0]",
        "eventXmetadata.a", "event.metadata.a + 1", "#if event.name", "/if", "!", "{event.name", "occurrence.at",
        "delivery", "this", "event.hmac_secret", "event.webhook_url", "event.__class__", "event .name",
        "event.metadata.a\n.b", "..", "0",
    ],
)  # fmt: skip
def test_any_other_name_is_unknown(name: str) -> None:
    assert unknown({"a": f"x{{{{{name}}}}}"}) == [(("a",), name.strip())]


def test_each_string_with_an_unknown_name_is_found_once_and_keys_are_no_templates() -> None:
    body = {
        "good": "{{event.name}}",
        "{{key}}": ["{{x}} and {{y}}", {"~/": "{{event.name}} {{z}}"}],
    }

    assert unknown(body) == [(("{{key}}", 0), "x"), (("{{key}}", 1, "~/"), "z")]
    assert rendered({"{{key}}": 1}) == {"{{key}}": 1}


@pytest.mark.parametrize(
    "body",
    [
        ["{{event.metadata.big}}"] * 1000,
        "{{event.metadata.big}}" * 1000,
        {str(n): "<{{event.metadata}}>" for n in range(1000)},
        ["{{event.metadata.quotes}}"] * 14,
    ],
    ids=["values", "texts", "objects", "escapes"],
)
def test_a_body_that_grows_beyond_bounds_is_refused(body: Any) -> None:
    values = VALUES | {"event.metadata": {"big": "x" * 65_000, "quotes": '"' * 40_000}}

    with pytest.raises(BodyTooLarge, match="1048576"):
        template.render(body, values)


def test_a_body_up_to_the_bound_is_rendered() -> None:
    text = "x" * (template.LARGEST // 16)

    assert (
        len(template.render(["{{event.metadata.big}}"] * 15, VALUES | {"event.metadata": {"big": text}})) > 15 * 65_536
    )


@pytest.mark.parametrize("text", ["{{" * 32_768, "{{ " * 20_000, "{{event.name}}" * 4_000, "}}" * 32_768, "{" * 65_536])
def test_time_is_linear_in_the_text(text: str) -> None:
    begun = time.process_time()

    unknown(text)
    rendered(text)

    assert costs.is_cheap(time.process_time() - begun, bound=1)
