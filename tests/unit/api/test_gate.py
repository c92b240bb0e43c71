"""Which clients without a token share a bucket."""

from __future__ import annotations

import pytest

from services.api.gate import neighbourhood_of


@pytest.mark.parametrize(
    ("host", "neighbourhood"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0:ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::1", "::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_a_host_shares_its_bucket_with_every_address_that_it_could_take(host: str, neighbourhood: str) -> None:
    assert neighbourhood_of(host) == neighbourhood
