"""The ledger of what has arrived: one line of JSON for each request, written by the receiver's process."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """One request, as it came. Times are Unix seconds by this machine's clock."""

    occurrence_id: str
    at: float
    attempt: int
    scheduled_at: float
    stream: str
    """The part of the load that it belongs to."""


class Ledger:
    """Reads the file while it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.arrivals: list[Arrival] = []
        self.arrived: set[str] = set()
        self._position = 0

    def read_on(self) -> None:
        """Take in what was written since the last time, whole lines only."""
        with self.path.open("rb") as file:
            file.seek(self._position)
            written = file.read()
        whole = written[: written.rfind(b"\n") + 1]
        self._position += len(whole)
        new = [msgspec.json.decode(line, type=Arrival) for line in whole.splitlines()]
        self.arrivals += new
        self.arrived |= {arrival.occurrence_id for arrival in new}
