from __future__ import annotations

from datetime import timedelta
from random import Random

import msgspec
import pytest

from services.dispatcher import judgement
from shared.domain.attempts import Outcome
from shared.domain.content import Overlap, Retry
from shared.domain.deliveries import DueDelivery, Finished, Retried
from tests.factories import HOUR, NOON, SECOND, attempt_of, content_of, due_of, event_of

EXACT = Retry(max_attempts=2, delays=("PT10S",), jitter=0)


def expiring(after: str, *, late_by: timedelta) -> DueDelivery:
    event = event_of(msgspec.structs.replace(content_of(), expires_after=after))
    return msgspec.structs.replace(due_of(event), now=NOON + late_by)


def test_an_active_event_is_attempted() -> None:
    assert judgement.instead_of_attempt(due_of()) is None


def test_an_event_that_has_completed_is_still_attempted() -> None:
    assert judgement.instead_of_attempt(msgspec.structs.replace(due_of(), event_status="completed")) is None


@pytest.mark.parametrize("status", ["deleted", "disabled"])
def test_a_stopped_event_is_cancelled_without_a_request(status: str) -> None:
    due = msgspec.convert({**msgspec.structs.asdict(due_of()), "event_status": status}, DueDelivery)

    end = judgement.instead_of_attempt(due)

    assert end == Finished(due.occurrence_id, due.epoch, "cancelled", f"event_{status}", 0)


def test_a_delivery_may_begin_at_the_last_moment_before_it_expires() -> None:
    assert judgement.instead_of_attempt(expiring("PT10S", late_by=10 * SECOND)) is None


def test_a_delivery_that_is_too_late_is_expired_without_a_request() -> None:
    due = expiring("PT10S", late_by=10 * SECOND + timedelta(microseconds=1))

    assert judgement.instead_of_attempt(due) == Finished(due.occurrence_id, due.epoch, "expired", "expires_after", 0)


def test_expiry_counts_from_the_nominal_time_also_on_a_retry() -> None:
    due = msgspec.structs.replace(expiring("PT10S", late_by=11 * SECOND), due_at=NOON + 11 * SECOND, attempts=1)

    end = judgement.instead_of_attempt(due)

    assert isinstance(end, Finished)
    assert (end.status, end.requests) == ("expired", 0)


def test_a_replay_does_not_expire() -> None:
    due = msgspec.structs.replace(expiring("PT10S", late_by=HOUR), replay=True)

    assert judgement.instead_of_attempt(due) is None


@pytest.mark.parametrize(("attempts", "buried"), [(0, False), (1, True)])
def test_no_retry_begins_when_the_delivery_is_too_old(attempts: int, *, buried: bool) -> None:
    event = event_of(content_of(retry=Retry(max_age="PT1M")))
    due = msgspec.structs.replace(due_of(event, attempts=attempts), now=NOON + 61 * SECOND)

    end = judgement.instead_of_attempt(due)

    assert end == (Finished(due.occurrence_id, due.epoch, "failed", "max_age", 0) if buried else None)


def test_without_expiry_no_delay_is_too_long() -> None:
    assert judgement.instead_of_attempt(msgspec.structs.replace(due_of(), now=NOON + 1000 * HOUR)) is None


def test_a_success_ends_the_delivery() -> None:
    due = due_of()

    end = judgement.after_attempt(due, attempt_of(), Random(0))

    assert end == (Finished(due.occurrence_id, due.epoch, "delivered", None, 1), False)


def test_a_failure_waits_for_the_next_attempt() -> None:
    due = due_of(event_of(content_of(retry=EXACT)))

    end = judgement.after_attempt(due, attempt_of(outcome=Outcome.TIMEOUT), Random(0))

    assert end == (Retried(due.occurrence_id, due.epoch, 10 * SECOND), False)


def test_the_last_failure_is_a_dead_letter() -> None:
    due = due_of(event_of(content_of(retry=EXACT)), attempts=1)

    end = judgement.after_attempt(due, attempt_of(number=2, outcome=Outcome.TIMEOUT), Random(0))

    assert end == (Finished(due.occurrence_id, due.epoch, "failed", "attempts_exhausted", 1), False)


def test_gone_disables_the_event() -> None:
    due = due_of()

    end = judgement.after_attempt(due, attempt_of(outcome=Outcome.GONE), Random(0))

    assert end == (Finished(due.occurrence_id, due.epoch, "failed", "gone", 1), True)


@pytest.mark.parametrize(("duration_ms", "buried"), [(50_000, False), (50_001, True)])
def test_max_age_counts_from_the_nominal_time_to_the_attempts_end(duration_ms: int, buried: bool) -> None:
    retry = msgspec.structs.replace(EXACT, max_age="PT1M")
    due = due_of(event_of(content_of(retry=retry)))
    attempt = msgspec.structs.replace(attempt_of(outcome=Outcome.TIMEOUT), duration_ms=duration_ms)

    end, _ = judgement.after_attempt(due, attempt, Random(0))

    assert isinstance(end, Finished) == buried


def test_a_replay_has_its_whole_policy_before_it() -> None:
    retry = msgspec.structs.replace(EXACT, max_age="PT1M")
    due = due_of(event_of(content_of(retry=retry)), attempts=2)
    replay = msgspec.structs.replace(due, attempts_before=2, replay=True, scheduled_at=NOON - HOUR, round_at=NOON)
    attempt = attempt_of(number=3, outcome=Outcome.TIMEOUT)

    end = judgement.after_attempt(replay, attempt, Random(0))

    assert end == (Retried(due.occurrence_id, due.epoch, 10 * SECOND), False)


def test_the_last_failure_of_a_replay_is_a_dead_letter_again() -> None:
    due = msgspec.structs.replace(due_of(event_of(content_of(retry=EXACT)), attempts=3), attempts_before=2, replay=True)

    end = judgement.after_attempt(due, attempt_of(number=4, outcome=Outcome.TIMEOUT), Random(0))

    assert end == (Finished(due.occurrence_id, due.epoch, "failed", "attempts_exhausted", 1), False)


def paused(**changes: object) -> DueDelivery:
    return msgspec.structs.replace(due_of(), event_status="paused", **changes)


def test_a_pause_skips_what_had_not_begun() -> None:
    due = paused()

    assert judgement.instead_of_attempt(due) == Finished(due.occurrence_id, due.epoch, "skipped", "paused", 0)


def test_a_retry_waits_for_the_end_of_a_pause_without_an_attempt() -> None:
    due = paused(attempts=2)

    assert judgement.instead_of_attempt(due) == Retried(due.occurrence_id, due.epoch, timedelta(minutes=1), 0)


@pytest.mark.parametrize("changes", [{"recurrence_id": None}, {"replay": True}])
def test_triggers_and_replays_run_while_paused(changes: dict[str, object]) -> None:
    assert judgement.instead_of_attempt(paused(**changes)) is None


def overlapping(overlap: Overlap, *, before: int, attempts: int = 0) -> DueDelivery:
    due = due_of(attempts=attempts)
    content = msgspec.structs.replace(due.content, overlap=overlap)
    return msgspec.structs.replace(due, content=content, unfinished_before=before)


@pytest.mark.parametrize(("overlap", "before"), [("skip", 1), ("skip", 2), ("queue_one", 2)])
def test_an_occurrence_is_skipped_while_others_are_unfinished(overlap: Overlap, before: int) -> None:
    due = overlapping(overlap, before=before)

    assert judgement.instead_of_attempt(due) == Finished(due.occurrence_id, due.epoch, "skipped", "overlap", 0)


def test_one_occurrence_waits_for_its_predecessor() -> None:
    due = overlapping("queue_one", before=1)

    assert judgement.instead_of_attempt(due) == Retried(due.occurrence_id, due.epoch, timedelta(seconds=1), 0)


@pytest.mark.parametrize("overlap", ["skip", "queue_one"])
def test_overlap_does_not_stop_what_has_begun_to_be_delivered(overlap: Overlap) -> None:
    assert judgement.instead_of_attempt(overlapping(overlap, before=1, attempts=1)) is None
