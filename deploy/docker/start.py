"""Become the service that `SERVICE` names, and end when told to, from the first moment on.

A container's process 1 ignores SIGTERM until it handles it, and importing a service takes about a second: whoever
stopped it meanwhile would wait in vain.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys


def end(*_: object) -> None:
    """Leave: nothing is in hand yet."""
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    runpy.run_module(f"services.{os.environ['SERVICE']}", run_name="__main__", alter_sys=True)
