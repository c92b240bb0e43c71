"""Delivery chains: an event, and all events that are created because of its webhooks, over generations.

A chain is known by the id of the event that began it. Every webhook names its chain in `tracestate` (W3C Trace Context,
level 1, section 3.3), which whoever handles it passes on with the calls that it makes meanwhile.
"""

from __future__ import annotations

import re
from uuid import UUID

from shared.domain.ids import ChainId

HEADER = "tracestate"
MOST_MEMBERS = 32
LONGEST = 16_384

_MEMBER = re.compile(r"qhronos=([0-9a-f]{32})")


def tracestate_of(chain: ChainId) -> str:
    """Return the header that names a chain."""
    return f"qhronos={chain.hex}"


def chain_in(tracestate: str) -> ChainId | None:
    """Return the chain that a header names first; None when it names none, or is none."""
    if len(tracestate) > LONGEST:
        return None
    for member in tracestate.split(",", MOST_MEMBERS)[:MOST_MEMBERS]:
        if found := _MEMBER.fullmatch(member.strip(" \t")):
            return ChainId(UUID(found[1]))
    return None
