"""Say what a run came to, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from tests.chaos.runs import Options
from tests.chaos.verdict import Run, Verdict

MOST_SHOWN = 20


def text(verdict: Verdict, run: Run) -> str:
    """Return tables."""
    return "\n".join(
        [*_summary(verdict, run), "", *_faults(verdict), *_details(verdict, run), "", _conclusion(verdict)]
    )


def as_json(verdict: Verdict, run: Run, options: Options) -> bytes:
    """Return the same as one JSON object."""
    found = {"options": options, "verdict": verdict, "fates": run.fates, "records": run.records, "crashes": run.crashes}
    return msgspec.json.format(msgspec.json.encode(found), indent=2)


def _summary(verdict: Verdict, run: Run) -> Iterator[str]:
    late = verdict.lateness
    yield "| sent | received | lost | duplicates | early | longest gap | lateness p50 | p99 | longest |"
    yield "|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    yield (
        f"| {verdict.sent} | {verdict.received} | {len(verdict.lost)} | {len(verdict.duplicates)} "
        f"| {len(verdict.early)} | {verdict.longest_gap:.2f} s "
        f"| {late.p50 * 1000:.0f} ms | {late.p99:.2f} s | {late.longest:.1f} s |"
    )
    yield ""
    yield (
        f"{run.unanswered} requests to the API without a promise, {len(verdict.unexpected)} of them delivered; "
        f"records: {dict(run.records)}; left undone: {run.unfinished}"
    )


def _faults(verdict: Verdict) -> Iterator[str]:
    yield "| fault | at | lasted | recovered after | late | duplicates |"
    yield "|---|--:|--:|--:|--:|--:|"
    for each in verdict.recoveries:
        yield (
            f"| {each.fault} | {each.after_begin:.1f} s | {each.lasted:.1f} s | {each.seconds:.1f} s "
            f"| {each.late} | {each.duplicates} |"
        )


def _details(verdict: Verdict, run: Run) -> Iterator[str]:
    details = {
        "lost": [f"{id_} due {_clock(run.due[id_])}: {run.fates.get(id_, 'no trace')}" for id_ in verdict.lost],
        "duplicate": [
            f"{d.occurrence_id} at {', '.join(map(_clock, d.at))}, attempts {d.attempts}: "
            + (", ".join(d.faults) if d.is_explained else "NOT EXPLAINED")
            for d in sorted(verdict.duplicates, key=lambda d: d.is_explained)
        ],
        "early": [f"{a.occurrence_id} by {(a.scheduled_at - a.at) * 1000:.1f} ms" for a in verdict.early],
        "crash": list(run.crashes),
    }
    for what, lines in details.items():
        if lines:
            yield ""
        yield from (f"{what}: {line}" for line in lines[:MOST_SHOWN])
        if len(lines) > MOST_SHOWN:
            yield f"{what}: … {len(lines) - MOST_SHOWN} more"


def _conclusion(verdict: Verdict) -> str:
    return "VIOLATED: " + "; ".join(verdict.violations) if verdict.violations else "nothing lost, nothing early"


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S.%f}"[:-3]
