"""What was measured, each figure beside its baseline of the same run, as a table and as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path

import msgspec

from shared.version import VERSION


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured number; `baseline` was measured the same way, and `beside` says of what."""

    group: str
    name: str
    unit: str
    value: float
    baseline: float | None = None
    beside: str = ""

    @property
    def ratio(self) -> float | None:
        """The value as a multiple of the baseline."""
        return self.value / self.baseline if self.baseline else None


class Report(msgspec.Struct, kw_only=True):
    """A whole run, as far as it has come. `failures` names the groups that could not be measured, and why."""

    version: str = VERSION
    python: str = platform.python_version()
    system: str = platform.platform()
    cores: int = os.cpu_count() or 1
    quick: bool
    figures: list[Figure] = []
    failures: dict[str, str] = {}
    seconds: dict[str, float] = {}
    """What each group took."""


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of the values do not exceed (the nearest rank)."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values, no percentile")
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(1, int(rank)) - 1]


def table(figures: Iterable[Figure]) -> list[str]:
    """Return the lines of a table."""
    lines = ["| | figure | unit | Qhronos | baseline | ratio | the baseline is |", "|---|---|---|--:|--:|--:|---|"]
    group = ""
    for figure in figures:
        cells = [
            "" if figure.group == group else figure.group,
            figure.name,
            figure.unit,
            number(figure.value),
            "" if figure.baseline is None else number(figure.baseline),
            "" if figure.ratio is None else f"{figure.ratio:.2f}",
            figure.beside,
        ]
        lines.append(f"| {' | '.join(cells)} |")
        group = figure.group
    return lines


def number(value: float) -> str:
    """Return a number with three digits that count, or all of its whole ones."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def write(report: Report, path: Path) -> None:
    """Write the run down as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
