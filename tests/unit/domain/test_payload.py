from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from shared.domain import payload, template
from shared.domain.content import Retry
from shared.recurrence import zone_of
from tests.factories import DAY, NOON, SECOND, content_of, due_of, event_of


def test_the_standard_body_says_what_is_due() -> None:
    event = event_of(
        msgspec.structs.replace(
            content_of(retry=Retry(max_attempts=4)),
            description="All of them",
            tags=("user:alice", "home"),
            metadata={"room": "kitchen"},
        )
    )
    due = msgspec.structs.replace(due_of(event, attempts=2), missed_count=3, catch_up=True, replay=True)

    body = json.loads(payload.body_of(due, zone_of))

    assert body == {
        "type": "occurrence.due",
        "event_id": str(event.id),
        "occurrence_id": str(due.occurrence_id),
        "event_version": 1,
        "name": "Water the plants",
        "description": "All of them",
        "scheduled_at": "2026-03-20T12:00:00Z",
        "recurrence_id": "2026-03-20T12:00:00",
        "tags": ["user:alice", "home"],
        "metadata": {"room": "kitchen"},
        "delivery": {
            "attempt": 3,
            "max_attempts": 4,
            "late_by_ms": 0,
            "missed_count": 3,
            "catch_up": True,
            "replay": True,
        },
    }


def test_the_attempts_of_a_replay_are_counted_on() -> None:
    due = due_of(event_of(content_of(retry=Retry(max_attempts=4))), attempts=5)

    delivery = json.loads(payload.body_of(msgspec.structs.replace(due, attempts_before=4), zone_of))["delivery"]

    assert (delivery["attempt"], delivery["max_attempts"]) == (6, 8)


def test_a_trigger_has_no_recurrence_id() -> None:
    due = msgspec.structs.replace(due_of(), recurrence_id=None)

    assert json.loads(payload.body_of(due, zone_of))["recurrence_id"] is None


def test_the_metadata_of_a_trigger_goes_over_that_of_the_event() -> None:
    event = event_of(msgspec.structs.replace(content_of(), metadata={"room": "kitchen", "pots": 3}))
    due = msgspec.structs.replace(due_of(event), metadata={"room": "attic", "urgent": True})

    assert json.loads(payload.body_of(due, zone_of))["metadata"] == {"room": "attic", "pots": 3, "urgent": True}
    assert event.content.metadata == {"room": "kitchen", "pots": 3}


def test_lateness_is_counted_from_the_nominal_time() -> None:
    due = msgspec.structs.replace(due_of(), now=NOON + 90 * SECOND + timedelta(milliseconds=7, microseconds=900))

    assert json.loads(payload.body_of(due, zone_of))["delivery"]["late_by_ms"] == 90_007


def test_lateness_is_never_negative() -> None:
    due = msgspec.structs.replace(due_of(), now=NOON - SECOND)

    assert json.loads(payload.body_of(due, zone_of))["delivery"]["late_by_ms"] == 0


def test_text_beyond_ascii_is_sent_as_utf_8() -> None:
    event = event_of(msgspec.structs.replace(content_of(), name="Pflanzen gießen 🌱"))

    assert "Pflanzen gießen 🌱".encode() in payload.body_of(due_of(event), zone_of)


def rendered(body: Any, **changes: Any) -> Any:
    """Return what is sent of a body for the second attempt at an event in New York, due at noon in UTC."""
    timing = msgspec.structs.replace(content_of().timing, timezone="America/New_York")
    content = msgspec.structs.replace(
        content_of(timing), body=body, tags=("a", "b"), metadata={"room": "attic", "n": 1}
    )
    due = msgspec.structs.replace(due_of(event_of(content), attempts=1), **changes)
    return json.loads(payload.body_of(due, zone_of))


def test_every_known_placeholder_has_a_value() -> None:
    due = due_of()
    expected = {
        "event.id": str(due.event_id),
        "event.name": "Water the plants",
        "event.description": "",
        "event.tags": ["a", "b"],
        "event.version": 1,
        "event.metadata": {"room": "attic", "n": 2, "who": None},
        "occurrence.id": str(due.occurrence_id),
        "occurrence.scheduled_at": "2026-03-20T12:00:00Z",
        "occurrence.recurrence_id": "2026-03-20T12:00:00",
        "occurrence.local": "2026-03-20T08:00:00-04:00",
        "delivery.attempt": 2,
        "delivery.max_attempts": 10,
        "delivery.late_by_ms": 90_000,
        "delivery.missed_count": 3,
        "delivery.catch_up": True,
        "delivery.replay": False,
    }

    found = rendered(
        {name: f"{{{{ {name} }}}}" for name in template.KNOWN},
        event_id=due.event_id,
        occurrence_id=due.occurrence_id,
        metadata={"n": 2, "who": None},
        missed_count=3,
        catch_up=True,
        now=NOON + 90 * SECOND,
    )

    assert found == expected
    assert {name: type(value) for name, value in found.items()} == {n: type(v) for n, v in expected.items()}


def test_an_instant_inside_a_longer_text_reads_as_in_the_standard_body() -> None:
    assert rendered("at {{occurrence.scheduled_at}}!") == "at 2026-03-20T12:00:00Z!"


@pytest.mark.parametrize("body", [False, 0, "", [], {}, "plain", [None, {"a": None}], 1.5])
def test_any_json_but_null_is_a_body(body: Any) -> None:
    found = rendered(body)

    assert (found, type(found)) == (body, type(body))
    assert rendered(None)["type"] == "occurrence.due"


def test_a_trigger_fills_in_null_for_its_recurrence_id() -> None:
    assert rendered(
        {"a": "{{occurrence.recurrence_id}}", "b": "<{{occurrence.recurrence_id}}>"}, recurrence_id=None
    ) == {
        "a": None,
        "b": "<>",
    }


def test_the_offset_is_the_one_of_the_instant() -> None:
    assert rendered("{{occurrence.local}}", scheduled_at=NOON - 60 * DAY) == "2026-01-19T07:00:00-05:00"
