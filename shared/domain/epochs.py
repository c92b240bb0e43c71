"""The fencing number of a delivery.

Each claim raises it by one, and it starts from the event's version, so that a delivery which was planned, dropped by
one change of the event and planned again by the next never meets an old message that names the same number.
"""

from __future__ import annotations

CLAIMS_BITS = 20
CLAIMS_MASK = (1 << CLAIMS_BITS) - 1
"""The bits that count claims: 0 when nobody has claimed yet."""


def epoch_before_first_claim(event_version: int) -> int:
    """Return the epoch of a delivery that nobody has claimed yet."""
    return event_version << CLAIMS_BITS


def is_first_claim(epoch: int) -> bool:
    """Tell whether this claim is the one that plans the event's next delivery."""
    return epoch & CLAIMS_MASK == 1
