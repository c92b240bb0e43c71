"""An event: identity, state and the content of its current version."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from shared.domain.content import Content
from shared.domain.ids import EventId
from shared.domain.overrides import Override

EventStatus = Literal["active", "paused", "disabled", "completed", "deleted"]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of one event."""

    id: EventId
    version: int
    status: EventStatus
    status_reason: str | None
    content: Content
    has_hmac_secret: bool
    created_by: str
    created_at: datetime
    updated_at: datetime
    overrides: dict[str, Override] = {}
    """What is changed about the times of single occurrences, by recurrence_id."""
    cancelled: frozenset[str] = frozenset()
    """The recurrence_ids of those to come that were cancelled one by one."""
