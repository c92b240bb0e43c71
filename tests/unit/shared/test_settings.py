from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network

import pytest

from shared import settings
from shared.settings import BUILT_IN_HMAC_SECRET, InvalidSettings, Networks, Settings

STRONG = "k7Vd0pQx9mZr2TbNc5Ys8Wf1Lg4Hj6Ua"
URL = "postgresql://db/qhronos"


class Example(Settings, frozen=True, kw_only=True):
    """One field of every kind."""

    database_url: str
    jwt_secret: str
    default_hmac_secret: str = BUILT_IN_HMAC_SECRET
    ops_port: int = 9090
    min_interval: timedelta = timedelta(seconds=60)
    egress_allow: Networks = (ip_network("127.0.0.0/8"),)


GOOD = {
    "QHRONOS_DATABASE_URL": URL,
    "QHRONOS_JWT_SECRET": STRONG,
    "QHRONOS_DEFAULT_HMAC_SECRET": STRONG,
}


def refusal_of(changed: dict[str, str], *, without: str | None = None) -> str:
    environ = {name: value for name, value in {**GOOD, **changed}.items() if name != without}
    with pytest.raises(InvalidSettings) as refused:
        settings.read(Example, environ)
    return str(refused.value)


def test_what_is_not_set_has_its_default() -> None:
    found = settings.read(Example, GOOD)

    assert found == Example(database_url=URL, jwt_secret=STRONG, default_hmac_secret=STRONG)
    assert found.env == "production"


def test_what_is_set_is_converted() -> None:
    found = settings.read(Example, {**GOOD, "QHRONOS_OPS_PORT": "7070", "QHRONOS_MIN_INTERVAL": "PT1M30S"})

    assert (found.ops_port, found.min_interval) == (7070, timedelta(seconds=90))


def test_other_variables_are_none_of_our_business() -> None:
    assert settings.read(Example, {**GOOD, "QHRONOS_OTHER": "1", "PATH": "/bin", "OPS_PORT": "1"}).ops_port == 9090


@pytest.mark.parametrize("name", ["QHRONOS_DATABASE_URL", "QHRONOS_JWT_SECRET"])
def test_a_missing_setting_is_named(name: str) -> None:
    assert f"{name} is not set." in refusal_of({}, without=name)


def test_a_required_setting_that_is_empty_counts_as_missing() -> None:
    assert "QHRONOS_DATABASE_URL is not set." in refusal_of({"QHRONOS_DATABASE_URL": ""})


def test_an_optional_setting_that_is_empty_has_its_default() -> None:
    assert settings.read(Example, {**GOOD, "QHRONOS_OPS_PORT": ""}).ops_port == 9090


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QHRONOS_OPS_PORT", "many"),
        ("QHRONOS_OPS_PORT", "1.5"),
        ("QHRONOS_MIN_INTERVAL", "60"),
        ("QHRONOS_MIN_INTERVAL", "P1M"),
        ("QHRONOS_ENV", "staging"),
        ("QHRONOS_ENV", "Production"),
        ("QHRONOS_EGRESS_ALLOW", "10.0.0.1/8"),
        ("QHRONOS_EGRESS_ALLOW", "127.0.0.0/8, localhost"),
    ],
)
def test_a_value_that_cannot_be_read_is_named(name: str, value: str) -> None:
    assert f"{name} is not usable: " in refusal_of({name: value})


def test_one_message_names_everything_that_is_wrong() -> None:
    message = refusal_of(
        {"QHRONOS_OPS_PORT": "many", "QHRONOS_ENV": "staging", "QHRONOS_EGRESS_ALLOW": "x"},
        without="QHRONOS_DATABASE_URL",
    )

    wrong = ["QHRONOS_DATABASE_URL", "QHRONOS_OPS_PORT", "QHRONOS_ENV", "QHRONOS_EGRESS_ALLOW"]
    assert [name for name in wrong if name not in message] == []
    assert "QHRONOS_JWT_SECRET" not in message
    assert "Qhronos cannot start" in message


def test_one_message_names_every_weak_secret() -> None:
    message = refusal_of({"QHRONOS_JWT_SECRET": "short", "QHRONOS_DEFAULT_HMAC_SECRET": BUILT_IN_HMAC_SECRET})

    assert "QHRONOS_JWT_SECRET is shorter than 32 characters." in message
    assert "QHRONOS_DEFAULT_HMAC_SECRET still has its built-in value" in message


def test_a_weak_secret_is_named_beside_everything_else_that_is_wrong() -> None:
    message = refusal_of(
        {"QHRONOS_JWT_SECRET": "short", "QHRONOS_OPS_PORT": "many"}, without="QHRONOS_DEFAULT_HMAC_SECRET"
    )

    assert "QHRONOS_OPS_PORT is not usable" in message
    assert "QHRONOS_JWT_SECRET is shorter than 32 characters." in message
    assert "QHRONOS_DEFAULT_HMAC_SECRET still has its built-in value" in message


@pytest.mark.parametrize(
    "secret",
    ["changeme-changeme-changeme-changeme", "Change-Me-k7Vd0pQx9mZr2TbNc5Ys8Wf", "your-secret-k7Vd0pQx9mZr2TbNc5Ys",
     "an-example-k7Vd0pQx9mZr2TbNc5Ys8Wf1", "a" * 64, "abababababababababababababababababab"],
)  # fmt: skip
def test_a_secret_that_looks_like_an_example_is_refused(secret: str) -> None:
    assert "QHRONOS_JWT_SECRET looks like an example" in refusal_of({"QHRONOS_JWT_SECRET": secret})


def test_the_built_in_secret_is_refused_in_production_also_when_it_is_only_the_default() -> None:
    assert "QHRONOS_DEFAULT_HMAC_SECRET" in refusal_of({}, without="QHRONOS_DEFAULT_HMAC_SECRET")


def test_a_secret_is_never_repeated_in_the_message() -> None:
    assert "hunter2" not in refusal_of({"QHRONOS_JWT_SECRET": "hunter2"})


@pytest.mark.parametrize("env", ["local", "test"])
def test_any_secret_will_do_outside_production(env: str) -> None:
    found = settings.read(Example, {**GOOD, "QHRONOS_ENV": env, "QHRONOS_JWT_SECRET": "x"})

    assert found.jwt_secret == "x"


def test_networks_that_are_not_set_have_their_default() -> None:
    assert settings.read(Example, GOOD).egress_allow == (ip_network("127.0.0.0/8"),)


@pytest.mark.parametrize("value", ["", " ", ",", " , "])
def test_networks_that_are_set_to_nothing_are_none(value: str) -> None:
    assert settings.read(Example, {**GOOD, "QHRONOS_EGRESS_ALLOW": value}).egress_allow == ()


def test_networks_are_separated_by_commas() -> None:
    found = settings.read(Example, {**GOOD, "QHRONOS_EGRESS_ALLOW": "10.0.0.0/8, fd00::/8,192.168.7.7"})

    assert found.egress_allow == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("192.168.7.7/32"))
