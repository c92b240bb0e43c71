"""The secrets that sign an event's deliveries, as they are stored: the current one, and replaced ones for a while."""

from __future__ import annotations

from datetime import datetime

import msgspec

MOST_PREVIOUS = 5


class PreviousSecret(msgspec.Struct, frozen=True):
    """One that was replaced; None is the default secret."""

    secret: str | None
    valid_until: datetime


class EventSecrets(msgspec.Struct, frozen=True):
    """What signs: the current secret, None being the default one, and the previous ones, the newest first."""

    current: str | None
    previous: tuple[PreviousSecret, ...] = ()

    def valid(self, now: datetime) -> list[str | None]:
        """Return those that sign `now`, the current one first."""
        return [self.current, *(old.secret for old in self.previous if old.valid_until > now)]


def rotated(before: EventSecrets, new: str, *, now: datetime, valid_until: datetime) -> EventSecrets:
    """Let `new` sign, and beside it the present secret until `valid_until`.

    Older ones keep their time, but of more than five the oldest go.
    """
    previous = (PreviousSecret(before.current, valid_until), *before.previous)
    return EventSecrets(new, tuple(old for old in previous if old.valid_until > now)[:MOST_PREVIOUS])
