from __future__ import annotations

from uuid import UUID

import pytest

from shared import tracing
from shared.domain.ids import OccurrenceId
from shared.tracing import Place

ID = OccurrenceId(UUID("01a20ed0-f1d6-8212-8d4e-7330f7a9fd71"))
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("flags", ["01", "03", "01-what-a-later-version-adds"])
def test_a_caller_says_where_it_is(flags: str) -> None:
    assert tracing.read_traceparent(f"00-{TRACE}-{SPAN}-{flags}") == Place(int(TRACE, 16), int(SPAN, 16))


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "00",
        f"00-{TRACE}-{SPAN}-00",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        "é" * 55,
    ],
)
def test_what_does_not_say_where_it_comes_from_begins_a_trace(header: str | None) -> None:
    assert tracing.read_traceparent(header) is None


def test_the_trace_of_a_delivery_is_its_occurrence() -> None:
    places = [tracing.place_of_plan(ID), tracing.place_of_claim(ID, 1), tracing.place_of_attempt(ID)]

    assert {place.trace_id for place in places} == {ID.int}


def test_each_claim_has_a_span_that_every_process_knows() -> None:
    claims = {tracing.place_of_claim(ID, epoch) for epoch in range(100)}

    assert tracing.place_of_claim(ID, 7) in claims
    assert len(claims | {tracing.place_of_plan(ID)}) == 101


def test_two_attempts_are_two_spans() -> None:
    assert tracing.place_of_attempt(ID) != tracing.place_of_attempt(ID)


def test_a_place_is_told_to_whoever_is_called() -> None:
    assert Place(ID.int, 1).header(sampled=True) == "00-01a20ed0f1d682128d4e7330f7a9fd71-0000000000000001-01"
    assert Place(ID.int, 1).header(sampled=False).endswith("-00")


def test_without_a_collector_everything_may_be_traced_by_others() -> None:
    assert not tracing.is_on()
    assert tracing.is_sampled(ID.int)
    assert tracing.is_sampled(2**64 - 1)
