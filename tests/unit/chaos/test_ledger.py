"""Reading the ledger while it is written."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tests.chaos.ledger import Arrival, Ledger


def line_of(id_: str) -> bytes:
    arrival = Arrival(occurrence_id=id_, at=2.0, attempt=1, scheduled_at=1.0, stream="once")
    return msgspec.json.encode(arrival) + b"\n"


def test_a_line_counts_once_and_only_when_all_of_it_is_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    half, other_half = line_of("b")[:20], line_of("b")[20:]

    ledger.path.write_bytes(line_of("a") + half)
    ledger.read_on()
    assert [a.occurrence_id for a in ledger.arrivals] == ["a"]

    with ledger.path.open("ab") as file:
        file.write(other_half)
    ledger.read_on()
    assert [a.occurrence_id for a in ledger.arrivals] == ["a", "b"]
    assert ledger.arrived == {"a", "b"}
