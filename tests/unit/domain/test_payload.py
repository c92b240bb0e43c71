from __future__ import annotations

import json
from datetime import timedelta

import msgspec

from shared.domain import payload
from shared.domain.content import Retry
from tests.factories import NOON, SECOND, content_of, due_of, event_of


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

    body = json.loads(payload.body_of(due))

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


def test_a_trigger_has_no_recurrence_id() -> None:
    due = msgspec.structs.replace(due_of(), recurrence_id=None)

    assert json.loads(payload.body_of(due))["recurrence_id"] is None


def test_the_metadata_of_a_trigger_goes_over_that_of_the_event() -> None:
    event = event_of(msgspec.structs.replace(content_of(), metadata={"room": "kitchen", "pots": 3}))
    due = msgspec.structs.replace(due_of(event), metadata={"room": "attic", "urgent": True})

    assert json.loads(payload.body_of(due))["metadata"] == {"room": "attic", "pots": 3, "urgent": True}
    assert event.content.metadata == {"room": "kitchen", "pots": 3}


def test_lateness_is_counted_from_the_nominal_time() -> None:
    due = msgspec.structs.replace(due_of(), now=NOON + 90 * SECOND + timedelta(milliseconds=7, microseconds=900))

    assert json.loads(payload.body_of(due))["delivery"]["late_by_ms"] == 90_007


def test_lateness_is_never_negative() -> None:
    due = msgspec.structs.replace(due_of(), now=NOON - SECOND)

    assert json.loads(payload.body_of(due))["delivery"]["late_by_ms"] == 0


def test_text_beyond_ascii_is_sent_as_utf_8() -> None:
    event = event_of(msgspec.structs.replace(content_of(), name="Pflanzen gießen 🌱"))

    assert "Pflanzen gießen 🌱".encode() in payload.body_of(due_of(event))
