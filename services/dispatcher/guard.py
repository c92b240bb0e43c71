"""Refuse connections to addresses that webhooks may not reach, at the moment that they are made.

The check sees the address that the socket will connect to, after resolution, so a name that changes its mind between
two look-ups gains nothing.
"""

from __future__ import annotations

import socket
from contextvars import ContextVar
from ipaddress import ip_address
from typing import Any

from shared.domain import egress
from shared.settings import Networks

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]


class EgressRefused(OSError):
    """The address is not public and not allowed."""


class Connects:
    """What an attempt's connections came to; one that only met refusals was refused."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.tried = 0


CONNECTS: ContextVar[Connects] = ContextVar("connects")


class Guard:
    """A socket factory that knows which networks are allowed."""

    def __init__(self, allowed: Networks) -> None:
        self._allowed = allowed

    def __call__(self, info: AddressInfo) -> socket.socket:
        """Return a new socket for the address, or raise EgressRefused."""
        family, kind, protocol, _, address = info
        connects = CONNECTS.get()
        host = str(address[0])
        if not egress.is_allowed(ip_address(host.split("%", 1)[0]), self._allowed):
            connects.refused.append(host)
            raise EgressRefused(f"{host} is not a public address")
        connects.tried += 1
        return socket.socket(family, kind, protocol)
