"""Find out before anything starts whether every port can be had, and name the setting that would help."""

from __future__ import annotations

import errno
import socket

from deploy.local.errors import InvalidSetting, PortTaken
from deploy.local.settings import SERVICES, Settings


def check(settings: Settings) -> None:
    """Raise `PortTaken` or `InvalidSetting` when the API or an operations port could not be opened."""
    check_one(settings.host, settings.port, "QHRONOS_API_PORT to another number")
    for offset in range(len(SERVICES)):
        advice = f"QHRONOS_OPS_PORT to a number that is free together with the next {len(SERVICES) - 1}"
        check_one(settings.ops_host, settings.ops_port + offset, advice)


def check_one(host: str, port: int, advice: str) -> None:
    """Raise when `host:port` cannot be listened on; `advice` says which setting to change, and to what."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"port {port} on {host} is taken: stop what listens there, or set {advice}") from error
        if error.errno == errno.EACCES:
            raise PortTaken(f"port {port} is for root only: set {advice}") from error
        raise InvalidSetting(
            f"cannot listen on {host}: {error.strerror}; change QHRONOS_API_HOST or QHRONOS_OPS_HOST"
        ) from error
