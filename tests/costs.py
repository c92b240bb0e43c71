"""Whether work is cheap, by a measure that a slow machine does not change: CPU time beside that of known work."""

from __future__ import annotations

from time import process_time

_STEPS = 100_000
_USUAL = 0.0065
"""Seconds of CPU that the known work takes on the machine by which bounds are told."""


def is_cheap(spent: float, *, bound: float) -> bool:
    """Tell whether `spent` seconds of CPU, just measured, are less than `bound`, or would be where the machine is fast.

    To be asked at once: how fast the machine is now is measured where it matters.
    """
    return spent < bound or spent < bound * _slowness()


def _slowness() -> float:
    """Return how many times longer than usual a piece of known work takes now."""
    begun = process_time()
    seen: dict[int, int] = {}
    for number in range(_STEPS):
        seen[number % 1000] = number
    return (process_time() - begun) / _USUAL
