"""What `make up` adds to `.env`: once, for nobody else's eyes, and over nothing that is set."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from dotenv import dotenv_values

from deploy.compose import env_file
from deploy.local import secrets_file, settings
from services.api.settings import ApiSettings
from services.dispatcher.settings import DispatcherSettings
from services.scheduler.settings import SchedulerSettings
from shared import settings as shared_settings
from shared.settings import Settings


def completed(folder: Path) -> dict[str, str]:
    """Complete the file in this folder and return all of its values."""
    path = folder / ".env"
    env_file.add(path, env_file.missing_from(settings.merged({}, dotenv_values(path)), folder / "data"))
    return settings.merged({}, dotenv_values(path))


@pytest.mark.parametrize("kind", [ApiSettings, SchedulerSettings, DispatcherSettings])
def test_with_what_is_made_a_service_starts_in_production(tmp_path: Path, kind: type[Settings]) -> None:
    urls = {"QHRONOS_DATABASE_URL": "postgresql://postgres/qhronos", "QHRONOS_REDIS_URL": "redis://valkey"}

    found = shared_settings.read(kind, {**completed(tmp_path), **urls})

    assert found.env == "production"


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    completed(tmp_path)
    before = (tmp_path / ".env").read_bytes()

    completed(tmp_path)

    assert (tmp_path / ".env").read_bytes() == before


@pytest.mark.parametrize("ending", ["", "\n"])
def test_what_is_set_stays_and_what_is_blank_or_built_in_does_not_count(tmp_path: Path, ending: str) -> None:
    own = (
        "# mine\nQHRONOS_MASTER_TOKEN=my own token\nQHRONOS_DEFAULT_HMAC_SECRET=qhronos.io\nQHRONOS_JWT_SECRET="
        + ending
    )
    (tmp_path / ".env").write_text(own)

    found = completed(tmp_path)

    assert (tmp_path / ".env").read_text().startswith(own)
    assert found["QHRONOS_MASTER_TOKEN"] == "my own token"
    assert len(found["QHRONOS_JWT_SECRET"]) >= 32
    assert found["QHRONOS_DEFAULT_HMAC_SECRET"] != "qhronos.io"
    assert len({found[name] for name in env_file.SECRETS}) == len(env_file.SECRETS)


def test_only_the_owner_can_read_it_however_it_was_before(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("QHRONOS_API_PORT=8081\n")
    (tmp_path / ".env").chmod(0o644)

    completed(tmp_path)

    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_a_local_run_before_or_after_seals_with_the_same_key(tmp_path: Path) -> None:
    before = secrets_file.kept(tmp_path / "data", "encryption_key")

    assert completed(tmp_path)["QHRONOS_ENCRYPTION_KEYS"] == before
