"""Hold the evaluator against the collected cases of public test suites, where their folder is at hand.

The cases are read from `../shared/rrule` beside the checkout, or from the folder that QHRONOS_RRULE_CASES names. They
are not part of the repository: without them all tests but one are skipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice, pairwise, takewhile
from pathlib import Path
from time import process_time

import msgspec
import pytest

from shared import recurrence
from shared.errors import InvalidSchedule
from shared.recurrence import Overridden, Override, Series, parse_rule
from shared.recurrence.zones import instant_of
from tests import costs

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("QHRONOS_RRULE_CASES") or ROOT.parent / "shared" / "rrule")
FILES = ("corpus", "invalid", "contested", "overrides")
BUDGET = 0.25
"""Seconds of CPU that any rule may cost; the cases are held to it four times over, as machines differ."""

REFUSED = {"rfc-invalid-rule", "byweekno-interval", "until-before-dtstart"}
OTHER_READING = {"unsynced-dtstart-included", "source-error", "gap-skipped"}
"""Contested cases that are read another way here; what is answered instead is checked by the unit tests."""


class Change(msgspec.Struct, frozen=True):
    """A changed occurrence: where it went, None when it was cancelled."""

    recurrence_id: str
    start: str | None


class Placed(msgspec.Struct, frozen=True):
    """An expected occurrence of a series with changes."""

    start: str


class Case(msgspec.Struct, frozen=True):
    """One line of a file; not every file has every field."""

    id: str
    rrule: str
    dtstart: str = "DTSTART:20240101T090000Z"
    tzid: str = "UTC"
    kind: str = ""
    reason: str = ""
    rdate: list[str] = []
    exdate: list[str] = []
    expected: list[str | Placed] = []
    complete: bool = False
    overrides: list[Change] = []
    window: tuple[str, str] = ("1990-01-01T00:00:00Z", "2030-01-01T00:00:00Z")

    @property
    def start(self) -> datetime:
        """The local start, also where it is written as a content line."""
        value = self.dtstart.rpartition(":")[2] if self.dtstart.startswith("DTSTART") else self.dtstart
        return datetime.fromisoformat(value.removesuffix("Z"))


def cases(file: str) -> list[Case]:
    path = FOLDER / f"{file}.jsonl"
    return (
        msgspec.json.decode(b"[" + b",".join(path.read_bytes().splitlines()) + b"]", type=list[Case])
        if path.exists()
        else []
    )


def each(file: str, kind: str = "") -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "case", [pytest.param(case, id=case.id) for case in cases(file) if case.kind == kind]
    )


def series_of(case: Case) -> Series:
    return recurrence.series(
        start_at=instant_of(case.start, case.tzid),
        start_local=case.start,
        zone=case.tzid,
        rule=parse_rule(case.rrule),
        rdates=tuple(map(datetime.fromisoformat, case.rdate)),
        exdates=tuple(map(datetime.fromisoformat, case.exdate)),
    )


def instants(case: Case) -> Iterator[str]:
    """Yield what the rule gives; a rule that is refused as empty gives nothing."""
    try:
        series = series_of(case)
    except InvalidSchedule as refused:
        if refused.code == "empty_recurrence":
            return
        raise
    for occurrence in series.occurrences():
        yield f"{occurrence.scheduled_at:%Y-%m-%dT%H:%M:%SZ}"


def outcome_of(case: Case) -> str | None:
    """Return the code by which a rule is refused, None if it is not; within the budget."""
    began = process_time()
    refused_as: str | None = None
    try:
        list(islice(series_of(case).occurrences(), 10))
    except InvalidSchedule as refused:
        refused_as = refused.code
    assert costs.is_cheap(process_time() - began, bound=4 * BUDGET)
    return refused_as


def test_a_case_is_read_and_expanded() -> None:
    case = Case(id="rfc5545", rrule="FREQ=DAILY;COUNT=2", dtstart="1997-09-02T09:00:00", tzid="America/New_York")

    assert list(instants(case)) == ["1997-09-02T13:00:00Z", "1997-09-03T13:00:00Z"]


def test_the_collected_cases_are_at_hand() -> None:
    if not FOLDER.is_dir():
        pytest.skip(f"no cases in {FOLDER}: set QHRONOS_RRULE_CASES to a folder that holds them")

    assert all(cases(file) for file in FILES)


@each("corpus")
def test_a_case_of_the_corpus_gives_the_instants_it_lists(case: Case) -> None:
    expected = case.expected

    found = list(islice(instants(case), len(expected) + 1))

    assert found[: len(expected)] == expected
    assert not case.complete or len(found) == len(expected)


@each("invalid", "reject")
def test_a_broken_rule_is_refused_and_the_example_passes(case: Case) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        parse_rule(case.rrule)

    assert refused.value.code == "invalid_schedule"
    parse_rule(refused.value.example)


@each("invalid", "until-form")
def test_until_is_taken_as_an_instant_and_as_nothing_else(case: Case) -> None:
    is_instant = "UNTIL" not in case.rrule or case.rrule.endswith("Z")

    assert outcome_of(case) == (None if is_instant else "invalid_schedule")


@each("invalid", "never-matches")
def test_a_rule_that_never_matches_is_refused_as_empty(case: Case) -> None:
    assert outcome_of(case) == "empty_recurrence"


@each("invalid", "rare-match")
def test_a_rare_match_is_found(case: Case) -> None:
    assert outcome_of(case) is None


@each("invalid", "resource")
def test_a_costly_rule_stays_cheap(case: Case) -> None:
    assert outcome_of(case) in {None, "invalid_schedule"}


@each("contested")
def test_a_contested_case_is_read_as_the_contract_says(case: Case) -> None:
    expected, reason = case.expected, case.reason
    if reason in REFUSED:
        with pytest.raises(InvalidSchedule):
            series_of(case)
        return

    found = list(islice(instants(case), len(expected)))

    match reason:
        case "yearly-bymonthday-no-bymonth":
            months = {datetime.fromisoformat(at).month for at in found}
            assert months <= {case.start.month}
        case "subdaily-across-dst" if case.id.startswith("icalnet"):
            assert found == expected
        case "subdaily-across-dst":
            assert len({after - before for before, after in pairwise(map(datetime.fromisoformat, found))}) == 1
        case "byweekno-all-seven-days":
            assert {datetime.fromisoformat(at).weekday() for at in found} <= {case.start.weekday()}
        case _:
            assert reason in OTHER_READING


@each("overrides")
def test_overrides_give_the_instants_listed(case: Case) -> None:
    series = series_of(case)
    laid = Overridden(
        series=series,
        overrides={
            change.recurrence_id: Override(excluded=True)
            if change.start is None
            else Override(scheduled_at=datetime.fromisoformat(change.start))
            for change in case.overrides
        },
    )

    low, high = map(datetime.fromisoformat, case.window)
    found = takewhile(lambda o: o.scheduled_at < high, laid.occurrences(low.astimezone(UTC)))

    assert [f"{o.scheduled_at:%Y-%m-%dT%H:%M:%SZ}" for o in found] == [
        placed.start for placed in case.expected if isinstance(placed, Placed)
    ]
