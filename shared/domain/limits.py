"""How many requests a caller may make: a token bucket, known by the instant at which it is full again.

To take one request puts that instant one interval later; it may lie as many intervals ahead as the bucket holds.
"""

from __future__ import annotations

import msgspec

_SECOND = 1_000_000
"""In microseconds, as all times here."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket's size, and how many requests per second it is refilled by."""

    bucket: int
    refill: float

    @property
    def interval(self) -> int:
        """Return the microseconds in which one request is refilled, whole, so that nothing is lost to rounding."""
        return max(1, round(_SECOND / self.refill))

    @property
    def capacity(self) -> int:
        """Return the microseconds in which an empty bucket is full again."""
        return self.bucket * self.interval


class Taken(msgspec.Struct, frozen=True):
    """What came of one request."""

    admitted: bool
    until_full: int
    """Microseconds until the bucket is full again."""

    def remaining(self, limit: Limit) -> int:
        """Return how many more requests would be admitted at once."""
        return max(0, limit.capacity - self.until_full) // limit.interval

    def seconds_until_full(self) -> int:
        """Return the whole seconds until the bucket is full again, rounded up."""
        return -(-self.until_full // _SECOND)

    def seconds_until_next(self, limit: Limit) -> int:
        """Return the whole seconds after which a refused request would be admitted: at least 1."""
        return max(1, -(-(self.until_full + limit.interval - limit.capacity) // _SECOND))
