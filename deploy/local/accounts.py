"""Decide which account runs the embedded servers, and what that account can reach.

PostgreSQL refuses to run as root, so root hands its servers to `nobody`. Permissions of folders that are
not ours are never changed.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import msgspec

from deploy.local.errors import ServerFailed

EXECUTE = 0o1
READ = 0o4


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a server runs as."""

    uid: int
    gid: int


def for_servers() -> Account | None:
    """Return whom the servers must run as; None means as ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise ServerFailed(
            "PostgreSQL does not run as root, and there is no account `nobody` to run it: run as an ordinary user"
        ) from None
    return Account(uid=nobody.pw_uid, gid=nobody.pw_gid)


def allows(status: os.stat_result, account: Account, bits: int) -> bool:
    """Tell whether the mode of a file or folder gives `account` all of `bits`."""
    if status.st_uid == account.uid:
        shift = 6
    elif status.st_gid == account.gid:
        shift = 3
    else:
        shift = 0
    return status.st_mode >> shift & bits == bits


def can_reach(path: Path, account: Account | None) -> bool:
    """Tell whether `account` can pass through every folder above `path`, which need not exist."""
    if account is None:
        return True
    return all(allows(folder.stat(), account, EXECUTE) for folder in path.resolve().parents if folder.exists())


def can_run(program: Path, account: Account | None) -> bool:
    """Tell whether `account` can execute `program`."""
    if account is None:
        return True
    return can_reach(program, account) and allows(program.stat(), account, READ | EXECUTE)
