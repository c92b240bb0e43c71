"""What the API refuses to start with."""

from __future__ import annotations

import pytest

from services.api.settings import ApiSettings
from shared import settings
from shared.settings import InvalidSettings

ENOUGH = {
    "QHRONOS_ENV": "test",
    "QHRONOS_DATABASE_URL": "postgresql://db/qhronos",
    "QHRONOS_REDIS_URL": "redis://redis/0",
    "QHRONOS_MASTER_TOKEN": "x",
    "QHRONOS_JWT_SECRET": "x",
}


def test_the_rate_limit_is_100_requests_and_10_per_second_unless_told_otherwise() -> None:
    usual = settings.read(ApiSettings, {**ENOUGH, "QHRONOS_RATE_LIMIT_BUCKET": ""})
    other = settings.read(ApiSettings, {**ENOUGH, "QHRONOS_RATE_LIMIT_BUCKET": "7", "QHRONOS_RATE_LIMIT_REFILL": "0.5"})

    assert (usual.rate_limit_bucket, usual.rate_limit_refill) == (100, 10)
    assert (other.rate_limit_bucket, other.rate_limit_refill) == (7, 0.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [("BUCKET", value) for value in ("0", "-1", "1.5", "many", "1000001")]
    + [("REFILL", value) for value in ("0", "-1", "many", "nan", "inf", "10001", "0.0001")],
)
def test_a_rate_limit_that_cannot_be_meant_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidSettings, match=f"QHRONOS_RATE_LIMIT_{name} is not usable"):
        settings.read(ApiSettings, {**ENOUGH, f"QHRONOS_RATE_LIMIT_{name}": value})


def test_a_chain_may_create_2000_events_unless_told_otherwise() -> None:
    assert settings.read(ApiSettings, ENOUGH).quota_chain_events == 2000
    assert settings.read(ApiSettings, {**ENOUGH, "QHRONOS_QUOTA_CHAIN_EVENTS": "7"}).quota_chain_events == 7


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many"])
def test_a_quota_of_a_chain_that_cannot_be_meant_is_refused(value: str) -> None:
    with pytest.raises(InvalidSettings, match="QHRONOS_QUOTA_CHAIN_EVENTS is not usable"):
        settings.read(ApiSettings, {**ENOUGH, "QHRONOS_QUOTA_CHAIN_EVENTS": value})
