"""`.env.example` is all that an operator reads about the settings, so it must be whole and right."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import cast

import msgspec
import pytest

from deploy.local import settings as local
from shared import settings
from shared.settings import PREFIX, Settings

ROOT = Path(__file__).parents[3]
LINE = re.compile(rf"(?P<off># )?(?P<name>{PREFIX}\w+)=(?P<value>.*)")
LINES = [match for line in (ROOT / ".env.example").read_text().splitlines() if (match := LINE.fullmatch(line))]
ON = {line["name"]: line["value"] for line in LINES if not line["off"]}
OFF = {line["name"]: line["value"] for line in LINES if line["off"]}

STRONG = "k7Vd0pQx9mZr2TbNc5Ys8Wf1Lg4Hj6Ua"
ENOUGH = {
    "QHRONOS_ENV": "test",
    "QHRONOS_DATABASE_URL": "postgresql://db/qhronos",
    "QHRONOS_REDIS_URL": "redis://redis/0",
    "QHRONOS_MASTER_TOKEN": STRONG,
    "QHRONOS_JWT_SECRET": STRONG,
    "QHRONOS_DEFAULT_HMAC_SECRET": STRONG,
}


def structs() -> list[type[Settings]]:
    """Return the settings struct of every service."""
    modules = [
        importlib.import_module(f"services.{path.parent.name}.settings")
        for path in sorted((ROOT / "services").glob("*/settings.py"))
    ]
    members = [member for module in modules for member in cast("dict[str, object]", vars(module)).values()]
    return [
        member
        for member in members
        if isinstance(member, type) and issubclass(member, Settings) and member is not Settings
    ]


def defaults_of(kind: type[Settings]) -> dict[str, object]:
    """Return the default of each setting that has one."""
    return {PREFIX + field.name.upper(): field.default for field in msgspec.structs.fields(kind) if not field.required}


def read_by_services() -> set[str]:
    return {PREFIX + field.name.upper() for kind in structs() for field in msgspec.structs.fields(kind)}


def read_by_the_local_run() -> set[str]:
    source = (ROOT / "deploy/local/settings.py").read_text()
    return set(re.findall(rf'"({PREFIX}\w+)"', source))


def test_every_service_has_its_settings() -> None:
    assert [kind.__name__ for kind in structs()] == ["ApiSettings", "DispatcherSettings", "SchedulerSettings"]


def test_every_setting_that_is_read_is_named_once_and_nothing_else() -> None:
    names = [line["name"] for line in LINES]

    assert sorted(names) == sorted(read_by_services() | read_by_the_local_run())


@pytest.mark.parametrize("kind", structs())
def test_a_default_that_is_written_there_is_the_one_that_the_service_has(kind: type[Settings]) -> None:
    for name, default in defaults_of(kind).items():
        if name in ON:
            found = settings.read(kind, {**ENOUGH, name: ON[name]})
            assert getattr(found, name.removeprefix(PREFIX).lower()) == default, name


def test_a_default_that_is_written_there_is_the_one_that_the_local_run_has() -> None:
    assert local.settings_from(ON) == local.settings_from({})


@pytest.mark.parametrize("kind", structs())
def test_only_what_has_no_default_or_an_empty_one_is_commented_out(kind: type[Settings]) -> None:
    names = {PREFIX + field.name.upper() for field in msgspec.structs.fields(kind)}
    written = {name for name, default in defaults_of(kind).items() if default not in ((), None)}
    written -= {"QHRONOS_ENV"}  # `make run` has a default of its own, which a copy of the file must not change

    assert names & ON.keys() == written


@pytest.mark.parametrize("kind", structs())
def test_an_example_that_is_commented_out_can_be_used(kind: type[Settings]) -> None:
    settings.read(kind, {**ENOUGH, **{name: value for name, value in OFF.items() if value}})
