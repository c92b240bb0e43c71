from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.holdings import Holdings
from shared.domain.deliveries import Held
from shared.domain.destinations import destination_of
from shared.stream.deliveries import Message
from tests.factories import NOON, SECOND, claimed_of, held_by

MICROSECOND = timedelta(microseconds=1)
HERE = destination_of("https://receiver.example/hook")


def a_claim(due_at: datetime = NOON) -> Held:
    return held_by(claimed_of(due_at))


def holding(*claims: tuple[Held, datetime], most: int = 10) -> Holdings:
    holdings = Holdings(most)
    for number, (held, due_at) in enumerate(claims):
        assert holdings.add(Message(str(number).encode(), held, due_at, HERE))
    return holdings


def test_the_earliest_is_taken_first() -> None:
    late, early, middle = a_claim(), a_claim(), a_claim()
    holdings = holding((late, NOON + 2 * SECOND), (early, NOON), (middle, NOON + SECOND))

    assert holdings.take_due(NOON + 2 * SECOND) == [(each, HERE) for each in (early, middle, late)]


def test_nothing_is_taken_before_its_time() -> None:
    held = a_claim()
    holdings = holding((held, NOON))

    assert holdings.take_due(NOON - MICROSECOND) == []
    assert holdings.take_due(NOON) == [(held, HERE)]


def test_nothing_is_taken_twice() -> None:
    holdings = holding((a_claim(), NOON))
    holdings.take_due(NOON)

    assert holdings.take_due(NOON) == []


def test_what_is_taken_needs_room_until_it_is_dropped() -> None:
    held = a_claim()
    holdings = holding((held, NOON), most=1)

    holdings.take_due(NOON)

    assert holdings.room == 0
    assert holdings.drop(held) == b"0"
    assert holdings.room == 1


def test_a_claim_that_is_held_already_is_not_added_again() -> None:
    held = a_claim()
    holdings = holding((held, NOON))

    assert not holdings.add(Message(b"again", held, NOON, HERE))
    assert holdings.take_due(NOON) == [(held, HERE)]
    assert holdings.drop(held) == b"0"


def test_a_newer_claim_on_the_same_delivery_is_another_one() -> None:
    old = a_claim()
    new = Held(old.occurrence_id, old.epoch + 1)

    holdings = holding((old, NOON), (new, NOON))

    assert holdings.drop(old) == b"0"
    assert holdings.drop(new) == b"1"


def test_a_message_of_an_unknown_format_is_not_added() -> None:
    holdings = Holdings(10)

    assert not holdings.add(Message(b"1", None, NOON, HERE))
    assert (holdings.room, holdings.next_due_at) == (10, None)


def test_the_next_due_time_is_the_earliest_of_those_that_wait() -> None:
    holdings = holding((a_claim(), NOON + SECOND), (a_claim(), NOON))

    assert holdings.next_due_at == NOON
    holdings.take_due(NOON)
    assert holdings.next_due_at == NOON + SECOND


def test_dropping_what_is_not_held_changes_nothing() -> None:
    holdings = holding((a_claim(), NOON))

    assert holdings.drop(a_claim()) is None
    assert holdings.room == 9


@given(st.lists(st.integers(0, 10), max_size=30), st.integers(0, 10))
def test_what_is_due_comes_in_order_and_stays_held(offsets: list[int], cut: int) -> None:
    holdings = Holdings(100)
    due_at = {a_claim(): NOON + offset * SECOND for offset in offsets}
    for number, (held, instant) in enumerate(due_at.items()):
        holdings.add(Message(str(number).encode(), held, instant, HERE))

    due = holdings.take_due(NOON + cut * SECOND)

    assert [due_at[held] for held, _ in due] == sorted(NOON + n * SECOND for n in offsets if n <= cut)
    assert set(holdings.all) == set(due_at)
