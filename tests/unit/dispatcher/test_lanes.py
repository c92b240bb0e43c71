from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.dispatcher import lanes
from services.dispatcher.lanes import FIRST_CAP, LARGEST_CAP, SHORTEST_QUEUE, SMALLEST_CAP, Lanes
from shared.domain.deliveries import Held
from shared.domain.destinations import DestinationId
from tests.factories import SOME_OCCURRENCE

ALL = 100_000
HERE, THERE, ELSEWHERE = DestinationId(1), DestinationId(2), DestinationId(3)


@pytest.fixture(autouse=True)
def _hardly_any_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """Unless a test says so: what is answered at once is so on a slow machine too."""
    looks = count()
    monkeypatch.setattr(lanes, "monotonic", lambda: next(looks) * 1e-6)


def held(number: int) -> Held:
    return Held(SOME_OCCURRENCE, number)


def filled(number: int, *, destination: DestinationId = HERE, into: Lanes | None = None, start: int = 0) -> Lanes:
    made = into or Lanes()
    for n in range(start, start + number):
        made.add(held(n), destination)
    return made


def begun(made: Lanes, limit: int) -> list[Held]:
    """Take as many as may be attempted and begin them."""
    taken = made.take(limit)
    for each in taken:
        made.begin(each)
    return taken


def answering(number: int) -> Lanes:
    """Return lanes in which so many wait for a destination that has answered at once."""
    made = filled(number + 1, start=-1)
    [first] = begun(made, 1)
    made.end(first, answered=True)
    return made


def is_empty(made: Lanes) -> bool:
    """Tell whether nothing at all is remembered."""
    return not (made._lanes or made._of or made._turn)  # pyright: ignore[reportPrivateUsage]


class TestTake:
    def test_lanes_are_served_in_turn_whatever_their_length(self) -> None:
        made = filled(6)
        filled(2, destination=THERE, into=made, start=10)
        filled(1, destination=ELSEWHERE, into=made, start=20)

        assert made.take(100) == [held(n) for n in (0, 10, 20, 1, 11, 2, 3, 4, 5)]

    def test_the_turn_goes_on_where_the_last_pass_ended(self) -> None:
        made = filled(3)
        filled(3, destination=THERE, into=made, start=10)

        assert [made.take(1) for _ in range(4)] == [[held(0)], [held(10)], [held(1)], [held(11)]]

    def test_a_lane_of_its_own_is_in_the_order_of_arrival(self) -> None:
        assert filled(5).take(100) == [held(n) for n in range(5)]

    def test_no_more_than_asked_for_is_taken(self) -> None:
        assert len(filled(5).take(2)) == 2
        assert filled(5).take(0) == []

    def test_a_lane_that_is_full_holds_up_no_other(self) -> None:
        made = filled(100)
        made.take(100)
        filled(3, destination=THERE, into=made, start=200)

        assert made.take(100) == [held(n) for n in (200, 201, 202)]

    def test_a_new_lane_has_so_many_at_once_and_gets_another_place_with_each_end(self) -> None:
        made = filled(50)
        taken = made.take(50)
        assert len(taken) == FIRST_CAP
        assert made.take(50) == []

        made.end(taken[0], answered=None)

        assert len(made.take(50)) == 1

    def test_the_one_that_probes_starts_also_when_the_lane_is_full(self) -> None:
        made = filled(FIRST_CAP + 1)
        made.take(100)

        assert made.take_one(HERE) == [held(FIRST_CAP)]
        assert HERE not in made.waiting_for


class TestCap:
    def test_each_answer_lets_one_more_go_at_once_up_to_the_largest(self) -> None:
        made = filled(1000)
        under_way = begun(made, 1000)
        for _ in range(2 * LARGEST_CAP):
            made.end(under_way.pop(0), answered=True)
            under_way += begun(made, 1000)

        assert len(under_way) == LARGEST_CAP

    def test_each_failure_halves_what_goes_at_once_down_to_the_smallest(self) -> None:
        made = filled(1000)
        under_way = begun(made, 1000)
        for _ in range(100):
            made.end(under_way.pop(0), answered=False)
            under_way += begun(made, 1000)

        assert len(under_way) == SMALLEST_CAP

    def test_what_was_not_attempted_teaches_nothing(self) -> None:
        made = filled(1000)
        under_way = begun(made, 1000)
        for _ in range(100):
            made.end(under_way.pop(0), answered=None)
            under_way += begun(made, 1000)

        assert len(under_way) == FIRST_CAP


class TestSurplus:
    def test_a_short_queue_has_none(self) -> None:
        assert answering(SHORTEST_QUEUE).surplus(room=0, limit=ALL) == []

    def test_without_room_a_queue_is_cut_to_the_shortest_from_its_end(self) -> None:
        made = answering(SHORTEST_QUEUE + 10)

        put_off = [each for each, _ in made.surplus(room=0, limit=ALL)]

        assert sorted(each.epoch for each in put_off) == list(range(SHORTEST_QUEUE, SHORTEST_QUEUE + 10))
        assert made.surplus(room=0, limit=ALL) == []

    def test_a_lane_at_a_good_pace_may_have_all_the_room(self) -> None:
        assert answering(1000).surplus(room=1000, limit=ALL) == []
        assert len(answering(1000).surplus(room=900, limit=ALL)) == 100

    def test_a_lane_without_an_answer_for_long_may_have_less(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made = filled(1000)
        begun(made, 1)
        monkeypatch.setattr(lanes, "monotonic", lambda: 10.0)  # 128 at once, each ten seconds: 128 in the longest wait

        assert len(made.surplus(room=10_000, limit=ALL)) == 999 - 128

    def test_what_is_put_off_waits_in_proportion_to_the_queue_and_no_longer_than_the_longest(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = filled(10_000)
        begun(made, 1)
        monkeypatch.setattr(lanes, "monotonic", lambda: 20.0)

        delays = [delay for _, delay in made.surplus(room=10_000, limit=ALL)]

        assert delays == sorted(delays)
        assert max(delays) == lanes.LONGEST_DELAY
        assert timedelta(seconds=1) <= min(delays) < timedelta(minutes=1)

    def test_one_flood_takes_nothing_from_another_lane(self) -> None:
        made = answering(1000)
        filled(10, destination=THERE, into=made, start=2000)

        assert {each.epoch for each, _ in made.surplus(room=0, limit=ALL)} == set(range(SHORTEST_QUEUE, 1000))


class TestTakeWaiting:
    def test_all_that_waits_comes_out_and_nothing_that_is_under_way(self) -> None:
        made = filled(FIRST_CAP + 3)
        made.take(100)

        assert made.take_waiting(HERE, ALL) == [held(FIRST_CAP + n) for n in range(3)]
        assert HERE not in made.waiting_for

    def test_all_that_waits_can_be_forgotten_one_by_one(self) -> None:
        made = filled(3)

        for each in made.take_waiting(HERE, ALL):
            made.end(each)

        assert is_empty(made)

    def test_it_can_be_forgotten_after_what_was_under_way_has_ended(self) -> None:
        made = filled(FIRST_CAP + 2)
        under_way = made.take(100)
        waiting = made.take_waiting(HERE, ALL)
        for each in under_way:
            made.end(each, answered=False)

        for each in waiting:
            made.end(each)

        assert is_empty(made)

    def test_it_can_wait_again_after_what_was_under_way_has_ended(self) -> None:
        made = filled(FIRST_CAP + 2)
        under_way = made.take(100)
        waiting = made.take_waiting(HERE, ALL)
        for each in under_way:
            made.end(each, answered=False)

        made.put_back(waiting)

        assert made.take(100) == waiting


class TestPutBack:
    def test_what_is_put_back_frees_its_place_and_is_taken_again(self) -> None:
        made = filled(FIRST_CAP)
        taken = made.take(100)

        made.put_back(taken)

        assert made.take(100) == taken

    def test_surplus_that_is_put_back_waits_again(self) -> None:
        made = answering(SHORTEST_QUEUE + 5)
        put_off = [each for each, _ in made.surplus(room=0, limit=ALL)]

        made.put_back(put_off)

        assert len(made.take_waiting(HERE, ALL)) == SHORTEST_QUEUE + 5


class TestEnd:
    def test_a_lane_without_work_is_forgotten(self) -> None:
        made = filled(3)
        for each in made.take(3):
            made.end(each, answered=True)

        assert is_empty(made)

    def test_ending_twice_or_what_is_not_known_changes_nothing(self) -> None:
        made = filled(2)
        [taken] = made.take(1)
        made.end(taken, answered=True)

        made.end(taken, answered=True)
        made.end(held(99))

        assert made.take(10) == [held(1)]


class NothingIsLostOrDoubled(RuleBasedStateMachine):
    """Beside the lanes, remembers where each delivery must be: waiting, under way, or taken out to be put off."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes()
        self.count = 0
        self.of: dict[Held, DestinationId] = {}
        self.waiting: set[Held] = set()
        self.under_way: list[Held] = []
        self.taken_out: list[Held] = []

    @rule(destination=st.sampled_from([HERE, THERE, ELSEWHERE]), number=st.sampled_from([1, 3, SHORTEST_QUEUE + 7]))
    def add(self, destination: DestinationId, number: int) -> None:
        for _ in range(number):
            self.count += 1
            each = held(self.count)
            self.lanes.add(each, destination)
            self.of[each] = destination
            self.waiting.add(each)

    @rule(limit=st.integers(0, 40))
    def take(self, limit: int) -> None:
        taken = self.lanes.take(limit)
        assert len(taken) <= limit
        self._leave(taken)
        self.under_way += taken

    @rule(destination=st.sampled_from([HERE, THERE, ELSEWHERE]))
    def take_one(self, destination: DestinationId) -> None:
        taken = self.lanes.take_one(destination)
        assert [self.of[each] for each in taken] == ([destination] if taken else [])
        self._leave(taken)
        self.under_way += taken

    @rule(destination=st.sampled_from([HERE, THERE, ELSEWHERE]))
    def take_waiting(self, destination: DestinationId) -> None:
        out = self.lanes.take_waiting(destination, 50)
        assert {self.of[each] for each in out} <= {destination}
        self._leave(out)
        self.taken_out += out

    @rule(room=st.integers(0, 100))
    def surplus(self, room: int) -> None:
        out = [each for each, _ in self.lanes.surplus(room=room, limit=50)]
        self._leave(out)
        self.taken_out += out

    @rule(data=st.data(), answered=st.sampled_from([True, False, None]))
    def end_some(self, data: st.DataObject, answered: bool | None) -> None:
        for each in data.draw(st.permutations(self.under_way))[: data.draw(st.integers(0, 20))]:
            self.lanes.begin(each)
            self.lanes.end(each, answered=answered)
            self.under_way.remove(each)
            del self.of[each]

    @rule()
    def put_off(self) -> None:
        for each in self.taken_out:
            self.lanes.end(each)
            del self.of[each]
        self.taken_out = []

    @rule(also_what_has_not_begun=st.booleans())
    def put_back(self, also_what_has_not_begun: bool) -> None:
        back = self.taken_out + (self.under_way if also_what_has_not_begun else [])
        self.lanes.put_back(back)
        self.waiting |= set(back)
        self.taken_out = []
        if also_what_has_not_begun:
            self.under_way = []

    @invariant()
    def what_waits_is_waited_for(self) -> None:
        assert set(self.lanes.waiting_for) == {self.of[each] for each in self.waiting}

    @invariant()
    def no_lane_has_more_under_way_than_the_largest_cap_and_its_probes(self) -> None:
        assert all(number <= LARGEST_CAP + 50 for number in Counter(self.of[e] for e in self.under_way).values())

    def teardown(self) -> None:
        """Work everything off: all comes out once, and then nothing is remembered."""
        self.put_off()
        while self.waiting:
            self.take(1000)
            assert self.under_way
            for each in self.under_way:
                self.lanes.end(each, answered=True)
                del self.of[each]
            self.under_way = []
        for each in self.under_way:
            self.lanes.end(each)
        assert is_empty(self.lanes)

    def _leave(self, taken: list[Held]) -> None:
        assert len(set(taken)) == len(taken)
        assert set(taken) <= self.waiting
        self.waiting -= set(taken)


TestLanesUnderAnySequence = NothingIsLostOrDoubled.TestCase
TestLanesUnderAnySequence.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
