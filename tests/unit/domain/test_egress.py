from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import egress
from shared.domain.egress import Network
from tests import hosts

NONE: tuple[Network, ...] = ()


def literals(table: Mapping[str, str]) -> list[str]:
    """Return the addresses of a table that are written as such."""
    bare = [host.strip("[]") for host in hosts.every(table)]
    return [host for host in bare if is_address(host)]


def is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


@pytest.mark.parametrize("address", literals(hosts.REFUSED))
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not egress.is_allowed(ip_address(address), NONE)


@pytest.mark.parametrize("address", literals(hosts.ALLOWED))
def test_a_public_address_is_allowed(address: str) -> None:
    assert egress.is_allowed(ip_address(address), NONE)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("127.0.0.1", "127.0.0.0/8"),
        ("::1", "::1/128"),
        ("10.1.2.3", "10.0.0.0/8"),
        ("192.168.7.7", "192.168.7.7/32"),
        ("::ffff:10.1.2.3", "10.0.0.0/8"),
        ("::ffff:10.1.2.3", "::ffff:0:0/96"),
        ("64:ff9b::10.1.2.3", "10.0.0.0/8"),
        ("64:ff9b:1::1", "64:ff9b:1::/48"),
        ("2002:a00:1::1", "10.0.0.0/8"),
        ("fd00::1", "fd00::/8"),
        ("224.0.0.1", "224.0.0.0/4"),
        ("169.254.169.254", "0.0.0.0/0"),
    ],
)
def test_an_allowed_network_can_be_reached(address: str, network: str) -> None:
    assert egress.is_allowed(ip_address(address), (ip_network("198.51.100.0/24"), ip_network(network)))


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("127.0.0.1", "10.0.0.0/8"),
        ("::1", "127.0.0.0/8"),
        ("::1", "0.0.0.0/0"),
        ("10.0.0.1", "::/0"),
        ("11.0.0.0", "10.0.0.0/8"),
        ("192.168.7.8", "192.168.7.7/32"),
    ],
)
def test_an_allowed_network_allows_nothing_beside_it(address: str, network: str) -> None:
    allowed = (ip_network(network),)

    assert egress.is_allowed(ip_address(address), allowed) == egress.is_allowed(ip_address(address), NONE)


def test_allowing_a_network_forbids_no_public_address() -> None:
    assert egress.is_allowed(ip_address("8.8.8.8"), (ip_network("127.0.0.0/8"),))


@given(st.ip_addresses(v=4))
def test_wrapping_an_ipv4_address_never_makes_it_more_public(address: IPv4Address) -> None:
    number = int(address)
    wrapped = [
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(0x64FF9B << 96 | number),
        IPv6Address(0x2002 << 112 | number << 80 | 1),
    ]

    allowed = [egress.is_allowed(each, NONE) for each in wrapped]

    assert allowed == [egress.is_allowed(address, NONE)] * 3


@given(st.ip_addresses())
def test_every_address_has_an_answer(address: IPv4Address | IPv6Address) -> None:
    assert egress.is_allowed(address, NONE) in (True, False)
    assert egress.literal_of(str(address)) == address


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0X7F.0.0.1", "0x7f.0x0.0x0.0x1",
        "0177.0.0.1", "017700000001", "0177.0x0.1", "127.0.0.1.",
    ],
)  # fmt: skip
def test_every_spelling_of_loopback_is_seen_through(host: str) -> None:
    assert egress.literal_of(host) == IPv4Address("127.0.0.1")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("0", "0.0.0.0"),
        ("0x0", "0.0.0.0"),
        ("2852039166", "169.254.169.254"),
        ("0xa9fea9fe", "169.254.169.254"),
        ("10.1", "10.0.0.1"),
        ("192.168.257", "192.168.1.1"),
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
        ("[0:0:0:0:0:ffff:7f00:1]", "::ffff:127.0.0.1"),
        ("[fe80::1%eth0]", "fe80::1"),
        ("8.8.8.8", "8.8.8.8"),
    ],
)
def test_a_literal_is_the_address_that_a_connection_would_use(host: str, expected: str) -> None:
    assert egress.literal_of(host) == ip_address(expected)


@pytest.mark.parametrize(
    "host",
    ["", "localhost", "example.com", "a", "dead.beef", "cafe", "face.de", "1.2.3.4.5", "256.256.256.256", "0x", "x",
     "127.0.0.1.example.com", "4294967296", "08.8.8.8x", "[", "::g", "1e100.net"],
)  # fmt: skip
def test_a_name_is_not_a_literal(host: str) -> None:
    assert egress.literal_of(host) is None


@given(st.text())
def test_any_host_is_a_literal_or_a_name(host: str) -> None:
    egress.literal_of(host)
