from __future__ import annotations

import socket
from collections.abc import Generator
from ipaddress import ip_network

import pytest

from services.dispatcher.guard import CONNECTS, AddressInfo, Connects, EgressRefused, Guard


@pytest.fixture
def connects() -> Generator[Connects]:
    connects = Connects()
    token = CONNECTS.set(connects)
    yield connects
    CONNECTS.reset(token)


def info_of(host: str) -> AddressInfo:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, 443))


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "::1", "fe80::1%1", "::ffff:127.0.0.1"])
def test_no_socket_is_made_for_an_address_that_is_not_public(host: str, connects: Connects) -> None:
    with pytest.raises(EgressRefused):
        Guard(())(info_of(host))

    assert (connects.refused, connects.tried) == ([host], 0)


def test_a_socket_is_made_for_a_public_address(connects: Connects) -> None:
    with Guard(())(info_of("8.8.8.8")) as made:
        assert (made.family, made.type) == (socket.AF_INET, socket.SOCK_STREAM)

    assert (connects.refused, connects.tried) == ([], 1)


def test_a_socket_is_made_for_an_allowed_address(connects: Connects) -> None:
    with Guard((ip_network("127.0.0.0/8"),))(info_of("127.0.0.1")):
        pass

    assert connects.tried == 1
