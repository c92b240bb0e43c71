from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_network

import pytest

from services.scheduler.settings import SchedulerSettings
from shared import settings
from shared.settings import BUILT_IN_HMAC_SECRET, InvalidSettings, Keys, Networks, Secrets, Settings

STRONG = "k7Vd0pQx9mZr2TbNc5Ys8Wf1Lg4Hj6Ua"
OTHER = "Zp3xW8sQ1vRt6Yk0Nb5Mf9Jd2Hg7Lc4E"
URL = "postgresql://db/qhronos"


class Example(Settings, frozen=True, kw_only=True):
    """One field of every kind."""

    database_url: str
    jwt_secret: Secrets
    default_hmac_secret: str = BUILT_IN_HMAC_SECRET
    ops_port: int = 9090
    min_interval: timedelta = timedelta(seconds=60)
    egress_allow: Networks = (ip_network("127.0.0.0/8"),)
    retention: timedelta | None = timedelta(days=90)


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

    assert found == Example(database_url=URL, jwt_secret=(STRONG,), default_hmac_secret=STRONG)
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


@pytest.mark.parametrize(("value", "expected"), [("", None), ("P7D", timedelta(days=7))])
def test_a_duration_that_may_be_missing_is_none_when_it_is_empty(value: str, expected: timedelta | None) -> None:
    assert settings.read(Example, {**GOOD, "QHRONOS_RETENTION": value}).retention == expected


@pytest.mark.parametrize("value", ["PT0S", "PT23H", "P36501D"])
def test_a_retention_that_cannot_be_meant_is_refused(value: str) -> None:
    environ = {**GOOD, "QHRONOS_REDIS_URL": "redis://redis/0", "QHRONOS_RETENTION": value}

    with pytest.raises(InvalidSettings, match="QHRONOS_RETENTION is not usable"):
        settings.read(SchedulerSettings, environ)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QHRONOS_RETENTION", "forever"),
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


def test_secrets_are_separated_by_commas_the_first_first() -> None:
    found = settings.read(Example, {**GOOD, "QHRONOS_JWT_SECRET": f"{OTHER}, {STRONG},"})

    assert found.jwt_secret == (OTHER, STRONG)


@pytest.mark.parametrize("value", ["", " ", ",", " , "])
def test_at_least_one_secret_must_be_there(value: str) -> None:
    message = refusal_of({"QHRONOS_JWT_SECRET": value})

    assert "QHRONOS_JWT_SECRET is not" in message


@pytest.mark.parametrize(
    ("weak", "why"), [("hunter2", "is shorter than 32 characters."), ("a" * 64, "looks like an example")]
)
@pytest.mark.parametrize("number", [1, 2])
def test_each_of_several_secrets_must_be_strong_and_the_weak_one_is_numbered(weak: str, why: str, number: int) -> None:
    secrets = [weak, STRONG] if number == 1 else [STRONG, weak]

    message = refusal_of({"QHRONOS_JWT_SECRET": ",".join(secrets)})

    assert f"QHRONOS_JWT_SECRET holds a secret, number {number}, that {why}" in message
    assert STRONG not in message
    assert weak not in message


def test_a_secret_is_never_repeated_in_the_message() -> None:
    assert "hunter2" not in refusal_of({"QHRONOS_JWT_SECRET": "hunter2"})


@pytest.mark.parametrize("env", ["local", "test"])
def test_any_secret_will_do_outside_production(env: str) -> None:
    found = settings.read(Example, {**GOOD, "QHRONOS_ENV": env, "QHRONOS_JWT_SECRET": "x"})

    assert found.jwt_secret == ("x",)


def test_networks_that_are_not_set_have_their_default() -> None:
    assert settings.read(Example, GOOD).egress_allow == (ip_network("127.0.0.0/8"),)


@pytest.mark.parametrize("value", ["", " ", ",", " , "])
def test_networks_that_are_set_to_nothing_are_none(value: str) -> None:
    assert settings.read(Example, {**GOOD, "QHRONOS_EGRESS_ALLOW": value}).egress_allow == ()


def test_networks_are_separated_by_commas() -> None:
    found = settings.read(Example, {**GOOD, "QHRONOS_EGRESS_ALLOW": "10.0.0.0/8, fd00::/8,192.168.7.7"})

    assert found.egress_allow == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("192.168.7.7/32"))


KEYS = [bytes(range(n, n + 32)) for n in (0, 7)]


class Sealing(Settings, frozen=True, kw_only=True):
    """A field that holds keys."""

    encryption_keys: Keys = ()


def keys_of(value: str) -> Keys:
    return settings.read(Sealing, {"QHRONOS_ENCRYPTION_KEYS": value}).encryption_keys


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_keys_are_base64_in_either_alphabet_separated_by_commas(encode: Callable[[bytes], bytes]) -> None:
    key = bytes(range(224, 256))
    first, second = (encode(k).decode() for k in (key, KEYS[0]))

    assert keys_of(f"{first}, {second}") == (key, KEYS[0])
    assert keys_of(first.rstrip("=")) == (key,)
    assert keys_of("") == settings.read(Sealing, {}).encryption_keys == ()


@pytest.mark.parametrize("bad", ["hunter2", "AAAA", "", "A" * 43 + "=", "ü" * 43, "A" * 64, "QUJD" * 10 + "QUI\n="])
def test_a_key_that_will_not_do_is_numbered_and_never_repeated(bad: str) -> None:
    good = base64.b64encode(KEYS[0]).decode()

    with pytest.raises(InvalidSettings) as refused:
        keys_of(f"{good},{bad}")

    assert "QHRONOS_ENCRYPTION_KEYS is not usable: key 2" in str(refused.value)
    assert good not in str(refused.value)
    assert not bad or bad not in str(refused.value)


def test_settings_do_not_show_what_they_hold() -> None:
    found = settings.read(Example, GOOD)

    for shown in (repr(found), str(found), f"{found}"):
        assert shown == "Example(env='production')"
