"""Names of things, as UUIDs that sort by time.

An occurrence's id is derived from its event and its `recurrence_id`, so planning twice is harmless and the id is
known before the occurrence exists.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import NewType
from uuid import UUID

EventId = NewType("EventId", UUID)
OccurrenceId = NewType("OccurrenceId", UUID)
TokenId = NewType("TokenId", UUID)
ChainId = NewType("ChainId", UUID)

_RANDOM_BITS = 80
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MILLISECONDS_MASK = (1 << 48) - 1


def event_id_at(now: datetime) -> EventId:
    """Return a new UUIDv7 (RFC 9562 section 5.7)."""
    return EventId(_timed_uuid(now, secrets.randbits(_RANDOM_BITS), version=7))


def token_id_at(now: datetime) -> TokenId:
    """Return a new UUIDv7."""
    return TokenId(_timed_uuid(now, secrets.randbits(_RANDOM_BITS), version=7))


def occurrence_id_of(event: EventId, recurrence_id: str, original_at: datetime) -> OccurrenceId:
    """Return the UUIDv8 of one occurrence: 48 bits of its original time in milliseconds, then bits of a hash."""
    digest = hashlib.sha256(event.bytes + recurrence_id.encode()).digest()
    return OccurrenceId(_timed_uuid(original_at, int.from_bytes(digest[:10], "big"), version=8))


def trigger_id_at(now: datetime) -> OccurrenceId:
    """Return a new id for an occurrence that no rule asked for."""
    return OccurrenceId(_timed_uuid(now, secrets.randbits(_RANDOM_BITS), version=8))


def _timed_uuid(instant: datetime, bits: int, *, version: int) -> UUID:
    """Join the Unix milliseconds of `instant` (times before 1970 count as 1970) and 74 of the 80 `bits`."""
    milliseconds = max(0, (instant - _EPOCH) // _MILLISECOND) & _MILLISECONDS_MASK
    value = milliseconds << 80 | bits
    value = value & ~(0xF << 76) | version << 76
    value = value & ~(0b11 << 62) | 0b10 << 62
    return UUID(int=value)
