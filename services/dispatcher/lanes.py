"""A lane for each destination: what is due waits in it, and so many of it are attempted at once.

A destination that answers gets more at once; one that does not, fewer. What a lane cannot take on in a while is put
off, so that no destination fills this process.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Container, Iterable, KeysView
from datetime import timedelta
from time import monotonic

from shared.domain.deliveries import Held
from shared.domain.destinations import DestinationId

FIRST_CAP, LARGEST_CAP, SMALLEST_CAP = 8, 128, 2
SHORTEST_QUEUE = 64
LONGEST_WAIT = 10.0
"""Seconds for which a lane may have work waiting, by the pace at which it is answered."""
SHORTEST_DELAY, LONGEST_DELAY = 1.0, timedelta(minutes=5)
LONGEST_LAG = timedelta(milliseconds=4)
_LESS = 0.8
_TIME_TO_ANSWER = 1.0
"""Seconds after which a destination that has not yet answered is judged by that."""
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

    def has_place(self, most: int) -> bool:
        """Tell whether another one may be attempted now, of no more than `most` at once."""
        return bool(self.waiting) and len(self._taken) < min(self.cap, most)

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

    def surplus(self, *, room: int, limit: int) -> list[tuple[Held, timedelta]]:
        """Take out up to `limit` that would wait too long, each with the time after which its turn comes at this pace.

        One lane may have half of what is left of the room that all share, and no more than it can work off soon.
        """
        pace = self._pace() if len(self.waiting) > SHORTEST_QUEUE else None
        if pace is None:
            return []
        keep = max(SHORTEST_QUEUE, min(room, int(LONGEST_WAIT * pace)))
        late = [self.waiting.pop() for _ in range(min(limit, len(self.waiting) - keep))]
        now = monotonic()
        self._next_turn = max(self._next_turn, now + max(SHORTEST_DELAY, keep / pace))
        put_off: list[tuple[Held, timedelta]] = []
        for held in reversed(late):
            put_off.append((held, min(timedelta(seconds=self._next_turn - now), LONGEST_DELAY)))
            self._next_turn += 1 / pace
        return put_off

    def _pace(self) -> float | None:
        """Return how many attempts a second the destination may be expected to end; None: too early to tell."""
        oldest = next(iter(self._begun_at.values()), None)
        so_far = 0.0 if oldest is None else monotonic() - oldest
        if not self._seconds and so_far < _TIME_TO_ANSWER:
            return None
        # One that answers has most at once before long: by its first few places, much would be put off for too long.
        at_once = LARGEST_CAP if self.cap >= FIRST_CAP else self.cap
        return at_once / max(self._seconds, so_far, 0.001)


class Lanes:
    """All lanes of this dispatcher, served in turn."""

    def __init__(self) -> None:
        self._lanes: dict[DestinationId, Lane] = {}
        self._of: dict[Held, DestinationId] = {}
        self._turn: OrderedDict[DestinationId, Lane] = OrderedDict()
        self._most_each = float(LARGEST_CAP)

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

    @property
    def waiting(self) -> int:
        """How many deliveries wait in all lanes together."""
        return sum(len(lane.waiting) for lane in self._turn.values())

    def feel(self, lag: timedelta) -> None:
        """Learn how late this process is with what it does: then whoever has much under way gets less of it.

        One that has nobody beside it may have it all.
        """
        if lag > LONGEST_LAG and len(self._lanes) > 1:
            self._most_each = max(FIRST_CAP, self._most_each * _LESS)
        else:
            self._most_each = min(LARGEST_CAP, self._most_each + 1)

    def take(self, limit: int, *, but: Container[DestinationId] = ()) -> list[Held]:
        """Start as many as may be attempted, one of each lane in turn, `but` none of some destinations."""
        taken: list[Held] = []
        passed_over = 0
        while len(taken) < limit and passed_over < len(self._turn):
            id_, lane = next(iter(self._turn.items()))
            self._turn.move_to_end(id_)
            if id_ not in but and lane.has_place(int(self._most_each)):
                taken.append(lane.take())
                passed_over = 0
            else:
                passed_over += 1
            self._leave_turn(id_)
        return taken

    def take_one(self, destination: DestinationId) -> list[Held]:
        """Start the next one of a destination, if any waits for it."""
        if destination not in self._turn:
            return []
        held = self._turn[destination].take()
        self._leave_turn(destination)
        return [held]

    def take_waiting(self, destination: DestinationId, limit: int) -> list[Held]:
        """Take out up to `limit` that wait for a destination, those that came first; they are not started."""
        if destination not in self._turn:
            return []
        waiting = self._turn[destination].waiting
        found = [waiting.popleft() for _ in range(min(limit, len(waiting)))]
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

    def surplus(self, *, room: int, limit: int) -> list[tuple[Held, timedelta]]:
        """Take out up to `limit` that would wait too long, each with the time after which its turn might come."""
        put_off: list[tuple[Held, timedelta]] = []
        for lane in self._turn.values():
            put_off += lane.surplus(room=room, limit=limit - len(put_off))
        return put_off

    def begin(self, held: Held) -> None:
        """Note that the destination of a delivery that was taken is asked now."""
        self._lanes[self._of[held]].begin(held)

    def end(self, held: Held, *, answered: bool | None = None) -> None:
        """Forget a delivery; its lane learns from its attempt, if one was made."""
        destination = self._of.pop(held, None)
        lane = None if destination is None else self._lanes.get(destination)
        if destination is None or lane is None:  # of many that were taken out of a lane, the first to end ends it
            return
        lane.end(held, answered=answered)
        if lane.is_idle:
            del self._lanes[destination]

    def _leave_turn(self, destination: DestinationId) -> None:
        if not self._lanes[destination].waiting:
            self._turn.pop(destination, None)
