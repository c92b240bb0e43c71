"""One run per data folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.local import lock
from deploy.local.errors import AlreadyRunning


def test_a_second_run_on_the_same_folder_is_refused_and_told_who_runs(tmp_path: Path) -> None:
    with (
        lock.held(tmp_path / "data"),
        pytest.raises(AlreadyRunning, match=str(os.getpid())),
        lock.held(tmp_path / "data"),
    ):
        pass


def test_the_folder_is_free_after_the_run(tmp_path: Path) -> None:
    for _ in range(2):
        with lock.held(tmp_path / "data"):
            pass
