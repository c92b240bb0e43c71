"""A change to one occurrence of an event, known by the occurrence's recurrence_id."""

from __future__ import annotations

from datetime import datetime

import msgspec

from shared.domain.content import Json


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """What is changed about the time and the receiver of one occurrence."""

    excluded: bool = False
    scheduled_at: datetime | None = None
    webhook_url: str | None = None


class StoredOverride(msgspec.Struct, frozen=True, kw_only=True):
    """All that is changed about one occurrence."""

    recurrence_id: str
    original_at: datetime
    excluded: bool = False
    scheduled_at: datetime | None = None
    metadata: dict[str, Json] | None = None
    """Merged over the event's."""
    webhook_url: str | None = None
    created_at: datetime
