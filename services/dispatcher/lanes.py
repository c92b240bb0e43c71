"""A lane for each destination: what is due waits in it, and so many of it are attempted at once.

A destination that answers gets more at once; one that does not, fewer. What a lane cannot take on in a while is put
off, so that no destination fills this process.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, KeysView
from datetime import timedelta
from time import monotonic

from shared.domain.deliveries import Held
from shared.domain.destinations import DestinationId

FIRST_CAP, LARGEST_CAP, SMALLEST_CAP = 8, 128, 2
SHORTEST_QUEUE = 64
LONGEST_WAIT = 10.0
"""Seconds for which a lane may have work waiting, by the pace at which it is answered."""
SHORTEST_DELAY, LONGEST_DELAY = 1.0, timedelta(minutes=5)
_WEIGHT_OF_LAST = 0.1


class Lane:
    """The deliveries of one destination that are due, and how it deals with them."""

    def __init__(self) -> None:
        self.waiting: deque[Held] = deque()
        self.cap = FIRST_CAP
        self._taken: set[Held] = set()
        self._begun_at: dict[Held, float] = {}
        self._seconds = 0.0
        self._next_turn = 0.0

    @property
    def free(self) -> int:
        """How many more may be attempted now."""
        return min(self.cap - len(self._taken), len(self.waiting))

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to remember."""
        return not self.waiting and not self._taken

    def take(self) -> Held:
        """Take the next one from the queue; it has a place until `end`."""
        held = self.waiting.popleft()
        self._taken.add(held)
        return held

    def begin(self, held: Held) -> None:
        """Note that the destination is asked now."""
        self._begun_at[held] = monotonic()

    def end(self, held: Held, *, answered: bool | None) -> None:
        """Learn from an attempt; `answered` is None where the destination was not asked."""
        self._taken.discard(held)
        begun_at = self._begun_at.pop(held, None)
        if begun_at is None or answered is None:
            return
        self._seconds += _WEIGHT_OF_LAST * (monotonic() - begun_at - self._seconds)
        self.cap = min(self.cap + 1, LARGEST_CAP) if answered else max(self.cap // 2, SMALLEST_CAP)

    def surplus(self, *, room: int) -> list[tuple[Held, timedelta]]:
        """Take out what would wait too long, each with the time after which its turn comes at the present pace.

        One lane may have half of what is left of the room that all share, and no more than it can work off soon.
        """
        if len(self.waiting) <= SHORTEST_QUEUE:
            return []
        now, pace = monotonic(), self._pace()
        keep = max(SHORTEST_QUEUE, min(room, int(LONGEST_WAIT * pace)))
        late = [self.waiting.pop() for _ in range(len(self.waiting) - keep)]
        self._next_turn = max(self._next_turn, now + max(SHORTEST_DELAY, keep / pace))
        put_off: list[tuple[Held, timedelta]] = []
        for held in reversed(late):
            put_off.append((held, min(timedelta(seconds=self._next_turn - now), LONGEST_DELAY)))
            self._next_turn += 1 / pace
        return put_off

    def _pace(self) -> float:
        """Return how many attempts a second the destination may be expected to end."""
        oldest = next(iter(self._begun_at.values()), None)
        seconds = max(self._seconds, 0.0 if oldest is None else monotonic() - oldest, 0.001)
        return self.cap / seconds


class Lanes:
    """All lanes of this dispatcher, served in turn."""

    def __init__(self) -> None:
        self._lanes: dict[DestinationId, Lane] = {}
        self._of: dict[Held, DestinationId] = {}
        self._turn: OrderedDict[DestinationId, Lane] = OrderedDict()

    @property
    def waiting_for(self) -> KeysView[DestinationId]:
        """The destinations for which something waits."""
        return self._turn.keys()

    def add(self, held: Held, destination: DestinationId) -> None:
        """Let a delivery that is due wait in its lane."""
        lane = self._lanes.setdefault(destination, Lane())
        self._of[held] = destination
        lane.waiting.append(held)
        self._turn.setdefault(destination, lane)

    def take(self, limit: int) -> list[Held]:
        """Start as many as may be attempted, one of each lane in turn."""
        taken: list[Held] = []
        passed_over = 0
        while len(taken) < limit and passed_over < len(self._turn):
            id_, lane = next(iter(self._turn.items()))
            self._turn.move_to_end(id_)
            if lane.free > 0:
                taken.append(lane.take())
                passed_over = 0
            else:
                passed_over += 1
            self._leave_turn(id_)
        return taken

    def take_one(self, destination: DestinationId) -> Held:
        """Start the next one of a destination for which something waits."""
        held = self._lanes[destination].take()
        self._leave_turn(destination)
        return held

    def take_waiting(self, destination: DestinationId) -> list[Held]:
        """Take out all that waits for a destination; it is not started."""
        lane = self._lanes[destination]
        found = list(lane.waiting)
        lane.waiting.clear()
        self._leave_turn(destination)
        return found

    def put_back(self, taken: Iterable[Held]) -> None:
        """Let deliveries that were taken wait again."""
        for held in taken:
            destination = self._of[held]
            lane = self._lanes.setdefault(destination, Lane())
            lane.end(held, answered=None)
            lane.waiting.append(held)
            self._turn.setdefault(destination, lane)

    def surplus(self, *, room: int) -> list[tuple[Held, timedelta]]:
        """Take out what would wait too long, each with the time after which its turn might come."""
        return [put_off for lane in self._turn.values() for put_off in lane.surplus(room=room)]

    def begin(self, held: Held) -> None:
        """Note that the destination of a delivery that was taken is asked now."""
        self._lanes[self._of[held]].begin(held)

    def end(self, held: Held, *, answered: bool | None = None) -> None:
        """Forget a delivery; its lane learns from its attempt, if one was made."""
        destination = self._of.pop(held, None)
        if destination is None or destination not in self._lanes:
            return  # of what was taken out, the lane may be gone already
        lane = self._lanes[destination]
        lane.end(held, answered=answered)
        if lane.is_idle:
            del self._lanes[destination]

    def _leave_turn(self, destination: DestinationId) -> None:
        if not self._lanes[destination].waiting:
            self._turn.pop(destination, None)
