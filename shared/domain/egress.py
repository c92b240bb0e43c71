"""Which addresses a webhook may reach: public ones, and the networks that an operator allows.

The standard library's `is_global` says True for NAT64, 6to4 and multicast, so those are unwrapped or refused here.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
_NEVER = (
    IPv6Network("::/96"),  # IPv4-compatible, deprecated by RFC 4291
    IPv6Network("64:ff9b:1::/48"),  # local-use NAT64, RFC 8215
    IPv6Network("2001::/23"),  # IETF protocol assignments, Teredo and ORCHID among them; Pythons differ on these
    IPv6Network("fec0::/10"),  # site-local, deprecated by RFC 3879
    IPv6Network("3fff::/20"),  # documentation, RFC 9637
    IPv6Network("5f00::/16"),  # SRv6 SIDs, RFC 9602
    IPv4Network("168.63.129.16/32"),  # Azure's platform services, seen from inside only
    IPv4Network("192.0.0.0/24"),  # IETF protocol assignments, Oracle's metadata service among them; Pythons differ
    IPv4Network("192.88.99.0/24"),  # 6to4 relays, RFC 7526
)
_NUMERIC = re.compile(r"[0-9a-fx.:]+", re.IGNORECASE)


def is_allowed(address: Address, allowed: tuple[Network, ...]) -> bool:
    """Tell whether a connection to `address` may be made."""
    inner = _unwrapped(address)
    if any(candidate in network for candidate in (address, inner) for network in allowed):
        return True
    refused = inner.is_multicast or inner.is_reserved or any(inner in network for network in _NEVER)
    return inner.is_global and not refused


def literal_of(host: str) -> Address | None:
    """Return the address that a URL's host spells out, also as `127.1` or `0x7f000001`; None when it is a name."""
    bare = host.strip("[]").split("%", 1)[0].rstrip(".")
    if not _NUMERIC.fullmatch(bare):
        return None
    try:
        return ip_address(bare)
    except ValueError:
        pass  # perhaps in the notation of inet_aton(3)
    try:
        return IPv4Address(socket.inet_aton(bare))
    except OSError:
        return None


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address that a v4-mapped, NAT64 or 6to4 address stands for; others as they are."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour or address
