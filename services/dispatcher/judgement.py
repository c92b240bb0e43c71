"""Decide, before an attempt and after it, what becomes of a delivery. No clock, no socket, no database."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import assert_never

from shared.domain import attempts, durations
from shared.domain.attempts import Attempt, DeadLetter, Delivered, TryAgain
from shared.domain.deliveries import DueDelivery, Finished, Retried

LOOK_AGAIN_AFTER = timedelta(minutes=1)
"""How soon after the end of a pause a retry goes on, at the latest."""


QUEUE_PAUSE = timedelta(seconds=1)
"""How often an occurrence that waits for its predecessor looks whether that is finished."""


def asked_for_at(due: DueDelivery) -> datetime:
    """Return when an attempt should have been made: its first at the occurrence's time, unless that had passed."""
    return due.due_at if due.attempts or due.catch_up or due.replay else due.scheduled_at


def instead_of_attempt(due: DueDelivery) -> Finished | Retried | None:
    """Return what becomes of a delivery that is not to be attempted now; None: go ahead."""
    if due.event_status in ("deleted", "disabled"):
        return Finished(due.occurrence_id, due.epoch, "cancelled", f"event_{due.event_status}", 0)
    by_timing = due.recurrence_id is not None and not due.replay
    held_up = _held_up(due) if by_timing else None
    if held_up is not None:
        return held_up
    max_age = due.content.retry.max_age
    if max_age is not None and due.attempts > due.attempts_before and due.now > due.round_at + durations.parse(max_age):
        return Finished(due.occurrence_id, due.epoch, "failed", "max_age", 0)
    expires_after = None if due.replay else due.content.expires_after  # a replay is asked for now, however late
    if expires_after is not None and due.now > due.scheduled_at + durations.parse(expires_after):
        return Finished(due.occurrence_id, due.epoch, "expired", "expires_after", 0)
    return None


def _held_up(due: DueDelivery) -> Finished | Retried | None:
    """Judge by pause and overlap, which hold for what the event's timing asks for, not for triggers and replays.

    What had begun to be delivered before a pause waits for its end.
    """
    if due.event_status == "paused":
        if due.attempts:
            return Retried(due.occurrence_id, due.epoch, LOOK_AGAIN_AFTER, 0)
        return Finished(due.occurrence_id, due.epoch, "skipped", "paused", 0)
    if due.unfinished_before and not due.attempts:
        if due.content.overlap == "queue_one" and due.unfinished_before == 1:
            return Retried(due.occurrence_id, due.epoch, QUEUE_PAUSE, 0)
        return Finished(due.occurrence_id, due.epoch, "skipped", "overlap", 0)
    return None


def after_attempt(due: DueDelivery, attempt: Attempt, random: Random) -> tuple[Finished | Retried, bool]:
    """Return what becomes of the delivery, and whether its event is to be disabled."""
    ended_at = attempt.started_at + timedelta(milliseconds=attempt.duration_ms)
    verdict = attempts.verdict_of(
        attempt, due.content.retry, age=ended_at - due.round_at, random=random, attempts_before=due.attempts_before
    )
    match verdict:
        case Delivered():
            return Finished(due.occurrence_id, due.epoch, "delivered", None, 1), False
        case TryAgain(delay):
            return Retried(due.occurrence_id, due.epoch, delay), False
        case DeadLetter(reason, disables_event):
            return Finished(due.occurrence_id, due.epoch, "failed", reason, 1), disables_event
        case _:
            assert_never(verdict)
