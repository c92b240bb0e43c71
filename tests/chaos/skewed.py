"""Run a service whose wall clock is wrong: `python -m tests.chaos.skewed SECONDS services.<name>`.

Only what Python asks is skewed, `time.time` and `datetime.now`: the monotonic clock, by which loops sleep, is right.
"""

from __future__ import annotations

import ctypes
import gc
import runpy
import sys
import time
from datetime import datetime, timedelta, tzinfo
from typing import Any, cast


def skew(by: timedelta) -> None:
    """Let both clocks be `by` ahead, or behind where it is negative.

    `now` is replaced in the class itself: a subclass would not be the type that msgspec knows.
    """
    right_time, right_now = time.time, datetime.now

    def wrong_now(_: type[datetime], tz: tzinfo | None = None) -> datetime:
        return right_now(tz) + by

    time.time = lambda: right_time() + by.total_seconds()
    [attributes] = cast("list[dict[str, Any]]", gc.get_referents(datetime.__dict__))
    attributes["now"] = classmethod(wrong_now)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime))


if __name__ == "__main__":
    skew(timedelta(seconds=float(sys.argv[1])))
    runpy.run_module(sys.argv[2], run_name="__main__", alter_sys=True)
