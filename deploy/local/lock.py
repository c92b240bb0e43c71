"""Let one run at a time use a data folder. The lock is the process's own: it is free as soon as the process is gone."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from deploy.local import folders
from deploy.local.errors import AlreadyRunning


@contextmanager
def held(data: Path) -> Generator[None]:
    """Hold the lock of the data folder, which is made when needed, or raise `AlreadyRunning`."""
    folders.made(data, folders.PASSABLE)
    with (data / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AlreadyRunning(
                f"another run (pid {file.read().strip()}) uses the data folder {data}: "
                "stop it, or set QHRONOS_DATA_DIR and the ports to others"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
