"""Say what a run came to."""

from __future__ import annotations

from tests.scale.rolling import Outcome


def text(outcome: Outcome) -> str:
    """Return tables and a conclusion."""
    verdict, late = outcome.verdict, outcome.verdict.lateness
    lines = [
        "| replaced | ended after | next one ready after |",
        "|---|--:|--:|",
        *(f"| {r.name} | {r.ended_after:.1f} s | {r.ready_after:.1f} s |" for r in outcome.replacements),
        "",
        "| sent | received | lost | duplicates | early | lateness p50 | p99 | longest |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
        f"| {verdict.sent} | {verdict.received} | {len(verdict.lost)} | {len(verdict.duplicates)} | "
        f"{len(verdict.early)} | {late.p50 * 1000:.1f} ms | {late.p99 * 1000:.0f} ms | {late.longest * 1000:.0f} ms |",
        "",
        f"{outcome.created} of them created through the API meanwhile; {outcome.asked_again} requests were asked again "
        "of the other one, with the same Idempotency-Key.",
        f"VIOLATED: {'; '.join(outcome.violations)}" if outcome.violations else "nothing lost, nothing twice",
        "",
    ]
    return "\n".join(lines)
