from __future__ import annotations

import pytest

from services.dispatcher import lanes as module
from services.dispatcher.lanes import FIRST_CAP, LARGEST_CAP, LONGEST_LAG, Lanes
from shared.domain.deliveries import Held
from shared.domain.destinations import DestinationId
from tests.factories import claimed_of, held_by

HERE, THERE = DestinationId(1), DestinationId(2)
PLENTY = 1000


def waiting(lanes: Lanes, number: int, destination: DestinationId = HERE) -> list[Held]:
    """Let so many deliveries wait for a destination."""
    held = [held_by(claimed_of()) for _ in range(number)]
    for each in held:
        lanes.add(each, destination)
    return held


def test_no_more_is_put_off_at_once_than_asked_for() -> None:
    lanes = Lanes()
    held = waiting(lanes, 5)

    assert lanes.take_waiting(HERE, 2) == held[:2]
    assert lanes.take(PLENTY) == held[2:]
    assert lanes.take_waiting(HERE, 2) == []
    assert lanes.take_one(HERE) == []


def test_what_is_not_to_be_taken_waits_and_the_others_go() -> None:
    lanes = Lanes()
    waiting(lanes, 3)
    others = waiting(lanes, 3, THERE)

    assert lanes.take(PLENTY, but={HERE}) == others
    assert lanes.waiting == 3


def test_a_destination_is_not_judged_before_it_had_time_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "monotonic", lambda: 0.0)
    lanes = Lanes()
    waiting(lanes, PLENTY)
    for held in lanes.take(PLENTY):
        lanes.begin(held)

    assert lanes.surplus(room=0, limit=PLENTY) == []


def answered_well(lanes: Lanes) -> None:
    """Let a destination, for which much waits, answer until it may be sent as much at once as any."""
    for _ in range(LARGEST_CAP):
        [held] = lanes.take(1)
        lanes.begin(held)
        lanes.end(held, answered=True)


def test_a_process_that_lags_sends_less_at_once_to_one_of_several_and_recovers() -> None:
    lanes = Lanes()
    waiting(lanes, PLENTY)
    answered_well(lanes)
    waiting(lanes, 1, THERE)

    for _ in range(100):
        lanes.feel(2 * LONGEST_LAG)
    while_late = lanes.take(PLENTY)
    for _ in range(LARGEST_CAP):
        lanes.feel(LONGEST_LAG / 2)

    assert len(while_late) == FIRST_CAP + 1
    assert len(lanes.take(PLENTY)) == LARGEST_CAP - FIRST_CAP


def test_a_process_that_lags_with_one_destination_alone_lets_it_be() -> None:
    lanes = Lanes()
    waiting(lanes, PLENTY)
    answered_well(lanes)

    for _ in range(100):
        lanes.feel(2 * LONGEST_LAG)

    assert len(lanes.take(PLENTY)) == LARGEST_CAP
