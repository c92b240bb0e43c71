"""What the local run makes of the environment, and what its services find in theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local import settings
from deploy.local.errors import InvalidSetting

GIVEN = {
    "QHRONOS_DATABASE_URL": "postgresql://own",
    "QHRONOS_REDIS_URL": "unix://own",
    "QHRONOS_MASTER_TOKEN": "made",
    "QHRONOS_JWT_SECRET": "made too",
}


def environment(service: str = "api", **values: str) -> dict[str, str]:
    return settings.environment_of(service, values, settings.settings_from(values), GIVEN)


def test_the_environment_wins_over_the_file() -> None:
    values = settings.merged({"A": "environment"}, {"A": "file", "B": "file", "C": None})

    assert values == {"A": "environment", "B": "file"}


def test_nothing_set_means_the_documented_defaults() -> None:
    found = settings.settings_from({})

    assert (found.host, found.port, found.ops_port) == ("127.0.0.1", 8080, 9090)
    assert found.data == Path(".qhronos").absolute()
    assert found.database_url is None
    assert found.redis_url is None


def test_a_blank_url_counts_as_unset() -> None:
    found = settings.settings_from({"QHRONOS_DATABASE_URL": "", "QHRONOS_REDIS_URL": ""})

    assert found.database_url is None
    assert found.redis_url is None


@pytest.mark.parametrize("value", ["0", "-1", "65536", "http", "8080.5", "²"])
def test_a_port_must_be_a_port(value: str) -> None:
    with pytest.raises(InvalidSetting, match="QHRONOS_API_PORT"):
        settings.settings_from({"QHRONOS_API_PORT": value})


def test_the_last_operations_port_must_be_one_too() -> None:
    with pytest.raises(InvalidSetting, match="QHRONOS_OPS_PORT"):
        settings.settings_from({"QHRONOS_OPS_PORT": "65534"})


@pytest.mark.parametrize("port", ["9090", "9091", "9092"])
def test_the_api_may_not_sit_on_an_operations_port(port: str) -> None:
    with pytest.raises(InvalidSetting, match="9090 to 9092"):
        settings.settings_from({"QHRONOS_API_PORT": port})


def test_services_find_what_the_run_has_made() -> None:
    found = environment()

    assert found.items() >= GIVEN.items()
    assert found["QHRONOS_ENV"] == "local"


def test_what_the_user_has_set_wins_over_what_the_run_has_made() -> None:
    found = environment(QHRONOS_DATABASE_URL="postgresql://theirs", QHRONOS_MASTER_TOKEN="theirs", QHRONOS_ENV="test")

    assert found["QHRONOS_DATABASE_URL"] == "postgresql://theirs"
    assert found["QHRONOS_MASTER_TOKEN"] == "theirs"
    assert found["QHRONOS_ENV"] == "test"


def test_blank_values_do_not_hide_what_the_run_has_made() -> None:
    found = environment(QHRONOS_MASTER_TOKEN="", QHRONOS_ENV="", QHRONOS_API_HOST="")

    assert found["QHRONOS_MASTER_TOKEN"] == "made"
    assert found["QHRONOS_ENV"] == "local"
    assert found["QHRONOS_API_HOST"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        ({}, "127.0.0.0/8,::1/128"),
        ({"QHRONOS_EGRESS_ALLOW": ""}, ""),
        ({"QHRONOS_EGRESS_ALLOW": "10.0.0.0/8"}, "10.0.0.0/8"),
    ],
)
def test_loopback_may_be_called_unless_the_user_says_otherwise(values: dict[str, str], allowed: str) -> None:
    assert environment(**values)["QHRONOS_EGRESS_ALLOW"] == allowed


@pytest.mark.parametrize("name", ["QHRONOS_RATE_LIMIT_BUCKET", "QHRONOS_RATE_LIMIT_REFILL"])
def test_services_find_every_other_setting_as_it_was_set(name: str) -> None:
    assert environment(**{name: "7"})[name] == "7"


def test_each_service_has_an_operations_port_of_its_own() -> None:
    ports = [environment(service, QHRONOS_OPS_PORT="9500")["QHRONOS_OPS_PORT"] for service in settings.SERVICES]

    assert ports == ["9500", "9501", "9502"]


def test_python_may_keep_its_compiled_files() -> None:
    assert "PYTHONDONTWRITEBYTECODE" not in environment(PYTHONDONTWRITEBYTECODE="1")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("::1", "http://[::1]:8080"),
        ("localhost", "http://localhost:8080"),
    ],
)
def test_the_base_url_is_one_that_this_machine_can_call(host: str, url: str) -> None:
    assert settings.settings_from({"QHRONOS_API_HOST": host}).base_url == url
