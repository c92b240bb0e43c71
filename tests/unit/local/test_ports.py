"""Ports are checked before anything starts, and the message names the setting."""

from __future__ import annotations

import socket

import pytest

from deploy.local import ports
from deploy.local.errors import InvalidSetting, PortTaken
from tests.ports import free_port


def test_a_port_that_somebody_listens_on_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        with pytest.raises(PortTaken, match=f"port {port} .* set QHRONOS_API_PORT"):
            ports.check_one("127.0.0.1", port, "QHRONOS_API_PORT to another number")


def test_the_check_leaves_the_port_free() -> None:
    port = free_port()

    ports.check_one("127.0.0.1", port, "")
    ports.check_one("127.0.0.1", port, "")


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_a_host_that_is_not_ours_is_a_wrong_setting(host: str) -> None:
    with pytest.raises(InvalidSetting, match="QHRONOS_API_HOST"):
        ports.check_one(host, 8080, "")
