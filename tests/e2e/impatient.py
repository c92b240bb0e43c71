"""Run a service that waits less for slow clients: `python -m tests.e2e.impatient services.api`."""

from __future__ import annotations

import runpy
import sys
from datetime import timedelta

from services.api import connections, envelope

FIRST_HEAD = timedelta(seconds=2)
BODY = timedelta(seconds=2)
STEP = timedelta(seconds=4)


def main() -> None:
    """Run the module that is named, as `python -m` would."""
    connections.FIRST_HEAD = FIRST_HEAD
    connections.STEP = STEP
    envelope.LONGEST_BODY = BODY
    runpy.run_module(sys.argv[1], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
