"""Secrets are made once and are nobody else's to read."""

from __future__ import annotations

import stat
from pathlib import Path

from deploy.local import secrets_file


def test_a_secret_is_the_same_after_a_restart(tmp_path: Path) -> None:
    first = secrets_file.kept(tmp_path, "master_token")

    assert secrets_file.kept(tmp_path, "master_token") == first
    assert secrets_file.kept(tmp_path, "jwt_secret") != first
    assert len(first) >= 32


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    secrets_file.kept(tmp_path, "master_token")

    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "secrets" / "master_token").stat().st_mode) == 0o600


def test_a_half_written_secret_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir(mode=0o700)
    (tmp_path / "secrets" / "master_token.unfinished").touch()

    assert len(secrets_file.kept(tmp_path, "master_token")) >= 32
