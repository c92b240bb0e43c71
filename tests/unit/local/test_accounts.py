"""What the account that runs the servers can reach, judged by modes and owners alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.local import accounts
from deploy.local.accounts import EXECUTE, READ, Account

STRANGER = Account(uid=os.getuid() + 4242, gid=os.getgid() + 4242)


def status(mode: int, *, uid: int = 0, gid: int = 0) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("mode", "owner", "group", "passes"),
    [
        (0o700, 0, 0, False),
        (0o711, 0, 0, True),
        (0o700, 99, 0, True),
        (0o077, 99, 99, False),  # the owner's bits count, although others may
        (0o710, 0, 99, True),
        (0o701, 0, 99, False),
    ],
)
def test_the_first_class_that_fits_decides(mode: int, owner: int, group: int, *, passes: bool) -> None:
    account = Account(uid=99, gid=99)

    assert accounts.allows(status(mode, uid=owner, gid=group), account, EXECUTE) is passes


def test_every_bit_asked_for_is_needed() -> None:
    assert not accounts.allows(status(0o711), Account(uid=99, gid=99), READ | EXECUTE)


def test_one_closed_folder_above_hides_a_path(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    assert not accounts.can_reach(closed / "open" / "file", STRANGER)
    assert accounts.can_reach(closed / "open" / "file", None)


def test_what_everybody_can_reach_can_be_reached() -> None:
    assert accounts.can_reach(Path("/usr/bin/env"), STRANGER)
    assert accounts.can_run(Path("/bin/sh"), STRANGER)
