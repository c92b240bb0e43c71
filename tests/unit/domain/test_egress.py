from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import egress
from shared.domain.egress import Network

NONE: tuple[Network, ...] = ()

NOT_PUBLIC = {
    "this host": ["0.0.0.0", "0.1.2.3", "::"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255"],
    "link-local": ["169.254.0.1", "169.254.169.254", "fe80::1", "fe80::1%eth0", "febf::1"],
    "carrier-grade NAT": ["100.64.0.1", "100.127.255.255"],
    "unique local": ["fc00::1", "fd00:ec2::254", "fdff::1"],
    "site-local": ["fec0::1", "feff:ffff::1"],
    "multicast": ["224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "192.0.0.1", "4000::1", "100::1", "5f00::1"],
    "documentation and benchmarks": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "2001:db8::1"],
    "newer documentation": ["3fff::1", "3fff:fff:ffff::1"],
    "v4-mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:100.64.0.1", "::ffff:0:0"],
    "v4-translated and v4-compatible": ["::ffff:0:7f00:1", "::127.0.0.1", "::10.0.0.1", "::8.8.8.8"],
    "NAT64": ["64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::224.0.0.1"],
    "local NAT64": ["64:ff9b:1::1", "64:ff9b:1::8.8.8.8"],
    "6to4": ["2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::", "2002:c0a8:1::1", "2002:6440:1::", "2002:e000:1::"],
    "6to4 relays": ["192.88.99.1"],
    "Teredo": ["2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "ORCHID": ["2001:10::1", "2001:20::1"],
}

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.255.255.255", "128.0.0.1",
    "169.253.255.255", "172.15.255.255", "172.32.0.1", "192.167.255.255", "192.169.0.1", "223.255.255.255",
    "2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
    "2002:808:808::1", "3ffe:ffff::1", "3fff:1000::1",
]  # fmt: skip


@pytest.mark.parametrize("address", [address for addresses in NOT_PUBLIC.values() for address in addresses])
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not egress.is_allowed(ip_address(address), NONE)


@pytest.mark.parametrize("address", PUBLIC)
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
