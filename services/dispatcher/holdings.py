"""The deliveries that this dispatcher has read and not yet finished, in the order of their due times."""

from __future__ import annotations

import heapq
from datetime import datetime

from shared import metrics
from shared.domain.deliveries import Held
from shared.domain.destinations import DestinationId
from shared.stream.deliveries import Message


class Holdings:
    """Bounds what is taken on: `room` says how much more may be read."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._messages: dict[Held, bytes] = {}
        self._waiting: list[tuple[datetime, int, Held, DestinationId]] = []
        self._count = 0

    @property
    def room(self) -> int:
        """How many more deliveries may be read."""
        return self._most - len(self._messages)

    @property
    def next_due_at(self) -> datetime | None:
        """When the first of those that wait is due."""
        return self._waiting[0][0] if self._waiting else None

    def add(self, message: Message) -> bool:
        """Take on what a message says; False when it is not ours to do: unknown format, or held already."""
        held = message.held
        if held is None or held in self._messages:
            return False
        self._messages[held] = message.id
        self._count += 1
        heapq.heappush(self._waiting, (message.due_at, self._count, held, message.destination))
        metrics.HELD.set(len(self._messages))
        return True

    def take_due(self, now: datetime) -> list[tuple[Held, DestinationId]]:
        """Return those whose time has come, the earliest first, and where they go. They stay held until `drop`."""
        due: list[tuple[Held, DestinationId]] = []
        while self._waiting and self._waiting[0][0] <= now:
            _, _, held, destination = heapq.heappop(self._waiting)
            due.append((held, destination))
        return due

    @property
    def all(self) -> list[Held]:
        """All that is held."""
        return list(self._messages)

    def drop(self, held: Held) -> bytes | None:
        """Hold a delivery no longer; return the id of its message."""
        message_id = self._messages.pop(held, None)
        metrics.HELD.set(len(self._messages))
        return message_id
