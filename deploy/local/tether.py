"""Run a command that ends when the process which asked for it ends.

    python -I -S tether.py PARENT_PID SIGNAL UID:GID|- COMMAND...

It becomes the command (exec), so the pid stays the same. A script of its own instead of a `preexec_fn`, because Python
code between fork and exec is unsafe beside threads. Linux only; elsewhere the command outlives a killed parent.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, signal: int, account: str, command: list[str]) -> None:
    """Take the account, tie our life to `parent`, and become `command`."""
    if account != "-":
        uid, gid = map(int, account.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After setuid, which would clear it; before the look at the parent, which may be gone already.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - there is to be no shell


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
