"""What counts as lost, doubled, early and recovered, and what is a violation."""

from __future__ import annotations

import msgspec

from tests.chaos.ledger import Arrival
from tests.chaos.verdict import Run, Strike, judge

BEGIN = 1000.0


def came(id_: str, *, due: float = BEGIN + 10, late: float = 0.01, attempt: int = 1) -> Arrival:
    return Arrival(occurrence_id=id_, at=due + late, attempt=attempt, scheduled_at=due, stream="once")


def run_of(*arrivals: Arrival, strikes: tuple[Strike, ...] = (), lost: tuple[str, ...] = ()) -> Run:
    """A run in which everything was asked for that came, and what is `lost` as well."""
    due = {a.occurrence_id: a.scheduled_at for a in arrivals} | dict.fromkeys(lost, BEGIN + 10)
    return Run(due=due, arrivals=arrivals, strikes=strikes, begin=BEGIN, end=BEGIN + 100)


def strike_at(after: float, *, fault: str = "kill-dispatcher", in_flight: tuple[str, ...] = ()) -> Strike:
    at = BEGIN + after
    return Strike(fault=fault, at=at, until=at + 1, in_flight=frozenset(in_flight))


def test_a_run_in_which_everything_comes_once_and_in_time_violates_nothing() -> None:
    verdict = judge(run_of(came("a"), came("b"), strikes=(strike_at(5),)))

    assert (verdict.sent, verdict.received) == (2, 2)
    assert verdict.violations == ()


def test_what_never_came_is_lost() -> None:
    verdict = judge(run_of(came("a"), lost=("b",)))

    assert verdict.lost == ("b",)
    assert verdict.violations == ("1 lost",)


def test_an_arrival_before_its_time_is_early_unless_two_readings_of_the_clock_explain_it() -> None:
    verdict = judge(run_of(came("a", late=-0.002), came("b", late=-0.0009)))

    assert [a.occurrence_id for a in verdict.early] == ["a"]
    assert verdict.violations == ("1 early",)


def test_a_second_arrival_of_what_was_in_flight_is_explained() -> None:
    verdict = judge(run_of(came("a"), came("a", late=60), strikes=(strike_at(10, in_flight=("a",)),)))

    [duplicate] = verdict.duplicates
    assert duplicate.faults == ("kill-dispatcher",)
    assert verdict.violations == ()


def test_a_second_arrival_of_what_was_not_in_flight_is_a_violation() -> None:
    verdict = judge(run_of(came("a"), came("a", late=60), strikes=(strike_at(10, in_flight=("b",)),)))

    assert verdict.violations == ("1 duplicates that no fault explains",)


def test_a_second_arrival_before_the_fault_is_not_explained_by_it() -> None:
    verdict = judge(run_of(came("a"), came("a", late=1), strikes=(strike_at(20, in_flight=("a",)),)))

    assert verdict.violations == ("1 duplicates that no fault explains",)


def test_each_fault_explains_one_more_arrival_and_no_two() -> None:
    arrivals = (came("a"), came("a", late=60), came("a", late=61))
    one, two = strike_at(10, in_flight=("a",)), strike_at(70, in_flight=("a",))

    assert judge(run_of(*arrivals, strikes=(one,))).violations == ("1 duplicates that no fault explains",)
    assert judge(run_of(*arrivals, strikes=(one, two))).violations == ()


def test_what_nobody_asked_for_is_allowed_only_to_requests_whose_answer_is_unknown() -> None:
    run = msgspec.structs.replace(run_of(came("a"), came("b")), due={"a": BEGIN + 10})

    assert judge(run).violations == ("1 arrivals that nobody asked for",)
    assert judge(msgspec.structs.replace(run, unanswered=1)).violations == ()


def test_work_left_undone_and_records_of_failure_and_crashes_are_violations() -> None:
    run = msgspec.structs.replace(
        run_of(came("a")), unfinished=2, records={"delivered": 1, "missed": 3}, crashes=["api ended with 1"]
    )

    assert judge(run).violations == (
        "2 deliveries left undone",
        "3 records that are not `delivered`",
        "1 processes ended by themselves",
    )


def test_the_longest_gap_counts_from_the_beginning_and_to_the_end_of_the_load() -> None:
    assert judge(run_of(came("a", due=BEGIN + 30, late=0))).longest_gap == 70
    assert judge(run_of(came("a", due=BEGIN + 80, late=0))).longest_gap == 80
    assert judge(run_of(came("a", due=BEGIN + 80, late=40))).longest_gap == 100


def test_a_fault_is_recovered_from_with_the_last_late_arrival_of_what_it_can_have_met() -> None:
    arrivals = (
        came("before", due=BEGIN + 17, late=30),
        came("late before", due=BEGIN + 18.5, late=1.2),
        came("met", due=BEGIN + 19, late=4),
        came("also met", due=BEGIN + 22, late=2),
        came("in time", due=BEGIN + 25, late=0.9),
        came("of the next", due=BEGIN + 39, late=50),
    )

    recoveries = judge(run_of(*arrivals, strikes=(strike_at(20), strike_at(40, fault="flush-redis")))).recoveries

    assert [(r.fault, r.seconds, r.late) for r in recoveries] == [("kill-dispatcher", 4, 2), ("flush-redis", 49, 1)]


def test_a_fault_that_made_nothing_late_needs_no_recovery() -> None:
    [recovery] = judge(run_of(came("a"), strikes=(strike_at(5),))).recoveries

    assert (recovery.seconds, recovery.late) == (0, 0)
