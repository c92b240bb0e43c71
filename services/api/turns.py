"""Make long answers while others get theirs.

What one request asks for can take seconds to work out, and a process works on one thing at a time. So whoever is not
done after a moment lets others go on after every further item, and of each `sub` only one such request is worked on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")

MOMENT = timedelta(milliseconds=10)


class Turns:
    """Whose turn it is in this process."""

    def __init__(self) -> None:
        self._long: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def listed(self, items: Iterable[T], *, sub: str) -> list[T]:
        """Return the items, which are made on the way. The caller holds no connection, for it may have to wait."""
        found: list[T] = []
        coming, until = iter(items), time.monotonic() + MOMENT.total_seconds()
        for item in coming:
            found.append(item)
            if time.monotonic() > until:
                break
        else:
            return found
        async with self._long.setdefault(sub, asyncio.Lock()):
            for item in coming:
                found.append(item)
                await asyncio.sleep(0)
        return found
