"""What is said about a process that has ended, and what the run makes for its services."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local import settings, supervisor
from services.api.settings import ApiSettings
from services.dispatcher.settings import DispatcherSettings
from shared.settings import read


@pytest.mark.parametrize(("code", "words"), [(0, "exit code 0"), (3, "exit code 3"), (-9, "SIGKILL"), (-11, "SIGSEGV")])
def test_an_ending_names_its_signal_or_its_exit_code(code: int, words: str) -> None:
    assert supervisor.ending(code) == words


def test_the_run_makes_one_key_for_the_secrets_of_events_and_hands_it_to_all_that_need_it(tmp_path: Path) -> None:
    values = {
        "QHRONOS_DATA_DIR": str(tmp_path),
        "QHRONOS_DATABASE_URL": "postgresql://db/qhronos",
        "QHRONOS_REDIS_URL": "redis://redis/0",
    }
    wanted = settings.settings_from(values)

    first, second = (supervisor.given_by_the_run(wanted, []) for _ in range(2))

    environments = [settings.environment_of(name, values, wanted, first) for name in ("api", "dispatcher")]
    api, dispatcher = (
        read(kind, each) for kind, each in zip((ApiSettings, DispatcherSettings), environments, strict=True)
    )
    assert first == second
    assert api.encryption_keys == dispatcher.encryption_keys
    assert [len(key) for key in api.encryption_keys] == [32]
