"""`python -m deploy.local`, which is `make run`: all of Qhronos in the foreground, until Ctrl-C."""

from __future__ import annotations

import os
import sys

from dotenv import dotenv_values

from deploy.local import lock, ports, settings, supervisor
from deploy.local.errors import CannotRun
from deploy.local.output import refuse


def main() -> int:
    """Run and return the exit code: 0 after a requested stop, 1 with a message when it cannot run."""
    stop = supervisor.StopRequest()
    stop.listen()
    try:
        values = settings.merged(os.environ, dotenv_values(".env"))
        wanted = settings.settings_from(values)
        with lock.held(wanted.data):
            ports.check(wanted)
            supervisor.run(values, wanted, stop)
    except (CannotRun, PermissionError) as error:
        return refuse(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
