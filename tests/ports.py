"""Ports for what a test starts, below those that the kernel hands out: no client or receiver takes one first."""

from __future__ import annotations

import random
import socket

HOST = "127.0.0.1"
_LOWEST, _HIGHEST = 15_000, 32_000

_left = random.SystemRandom().sample(range(_LOWEST, _HIGHEST), _HIGHEST - _LOWEST)


def free_port() -> int:
    """Return a port on loopback that nobody listens on; no port is returned twice."""
    while True:
        port = _left.pop()
        try:
            socket.create_server((HOST, port)).close()
        except OSError:
            continue
        return port
