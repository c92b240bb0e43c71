"""docker-compose.yml holds to the settings, gives away no secret, and suits both programs that are called Compose."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from deploy.compose import env_file
from services.api.settings import ApiSettings
from services.dispatcher.settings import DispatcherSettings
from services.scheduler.settings import SchedulerSettings
from shared import settings
from shared.settings import BUILT_IN_HMAC_SECRET, PREFIX, SHORTEST_SECRETS, Settings

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docker-compose.yml"
TEXT = FILE.read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS: dict[str, type[Settings]] = {
    "api": ApiSettings,
    "scheduler": SchedulerSettings,
    "dispatcher": DispatcherSettings,
}
STRONG = "k7Vd0pQx9mZr2TbNc5Ys8Wf1Lg4Hj6Ua"
INSIDE = {"QHRONOS_API_HOST", "QHRONOS_API_PORT", "QHRONOS_OPS_HOST", "QHRONOS_OPS_PORT"}
"""Where a process listens inside its container, which the image settles; outside it is the gateway's address."""
REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<how>:?[-?])(?P<rest>[^{}]*))?\}")
DIFFERENT = {"database_url", "redis_url", "trusted_proxies"}
"""What differs here from the defaults of the processes."""


@pytest.mark.parametrize("path", [FILE, ROOT / "deploy/docker/tls.yml"])
def test_the_file_follows_the_compose_specification(path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]

    checked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_nothing_is_in_the_file_that_one_of_the_two_programs_refuses() -> None:
    assert {key for key in COMPOSE if not key.startswith("x-")} == {"services", "volumes"}
    assert not re.search(r"!reset|!override|\bdevelop:|\bpull_policy:|\bstart_interval:|\brequired:", TEXT)
    references = re.findall(r"\$\{[^}]*\}", TEXT)
    assert references
    assert [each for each in references if not REFERENCE.fullmatch(each)] == []


@pytest.mark.parametrize("name", OURS)
def test_every_setting_of_a_service_reaches_it_under_its_own_name_and_no_other_does(name: str) -> None:
    environment: dict[str, str] = SERVICES[name]["environment"]
    fields = {PREFIX + field.name.upper() for field in msgspec.structs.fields(OURS[name])}

    assert {each for each in environment if each.startswith(PREFIX)} == fields - INSIDE
    for setting in fields - INSIDE:
        found = REFERENCE.fullmatch(environment[setting])
        assert found is not None, setting
        assert found["name"] == setting


@pytest.mark.parametrize("name", OURS)
def test_what_is_not_set_has_the_default_that_the_service_has(name: str) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(OURS[name])}
    values = {key: interpolated(text, {}) for key, text in SERVICES[name]["environment"].items()}
    from_file = settings.read(OURS[name], values)

    for field in fields.values():
        if not field.required and field.name not in DIFFERENT | SHORTEST_SECRETS.keys():
            assert getattr(from_file, field.name) == field.default, field.name


@pytest.mark.parametrize("name", OURS)
def test_what_is_set_is_what_the_service_reads(name: str) -> None:
    given = {"QHRONOS_DATABASE_URL": "postgresql://elsewhere/q", "QHRONOS_REDIS_URL": "redis://elsewhere/1"}
    given |= {"QHRONOS_TRUSTED_PROXIES": "", "QHRONOS_RETENTION": ""}
    values = {key: interpolated(text, given) for key, text in SERVICES[name]["environment"].items()}
    found: Any = settings.read(OURS[name], values)

    assert (found.database_url, found.redis_url) == ("postgresql://elsewhere/q", "redis://elsewhere/1")
    assert getattr(found, "trusted_proxies", ()) == ()
    assert getattr(found, "retention", None) is None


def test_no_secret_has_a_default() -> None:
    required = {match["name"] for match in REFERENCE.finditer(TEXT) if match["how"] == ":?"}
    optional = {match["name"]: match["rest"] for match in REFERENCE.finditer(TEXT) if match["how"] != ":?"}

    assert required == env_file.SECRETS.keys() - {"QHRONOS_ENCRYPTION_KEYS"}
    assert optional["QHRONOS_ENCRYPTION_KEYS"] == ""
    assert required & optional.keys() == set()
    assert BUILT_IN_HMAC_SECRET not in TEXT


def test_only_the_gateway_can_be_reached_and_from_this_machine_alone_unless_told_otherwise() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert {name: [interpolated(port, {}) for port in published] for name, published in ports.items()} == {
        "gateway": ["127.0.0.1:8080:8080"]
    }
    everywhere = {"QHRONOS_API_HOST": "0.0.0.0", "QHRONOS_API_PORT": "443"}
    assert interpolated(ports["gateway"][0], everywhere) == "0.0.0.0:443:8080"


@pytest.mark.parametrize("name", [*OURS, "gateway", "migrate", "receiver"])
def test_what_is_ours_runs_with_the_least_it_needs(name: str) -> None:
    service = SERVICES[name]

    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_bounded_and_can_be_scaled(name: str) -> None:
    service = SERVICES[name]

    assert {"mem_limit", "logging"} <= service.keys()
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert "container_name" not in service


@pytest.mark.parametrize("name", OURS)
def test_services_start_when_the_schema_is_there(name: str) -> None:
    assert SERVICES[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert SERVICES["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"


def interpolated(text: str, values: dict[str, str]) -> str:
    """Return a text as Compose would; a secret that must be set is a strong one."""

    def value(match: re.Match[str]) -> str:
        given = values.get(match["name"])
        match match["how"]:
            case ":?":
                return given or STRONG
            case ":-":
                return given or match["rest"]
            case _:
                return match["rest"] if given is None else given

    return REFERENCE.sub(value, text)
