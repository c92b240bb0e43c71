"""The processes of Qhronos itself, as children of the local run."""

from __future__ import annotations

import http.client
import ssl
import subprocess
import sys
from collections.abc import Mapping
from signal import SIGKILL, SIGTERM

from deploy.local import output, processes

STOP_SECONDS = 20.0


class Service:
    """One `python -m services.<name>`, sharing our output."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self.name = name
        self.environment = environment
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start it.

        When we are killed it is killed too, not asked to finish: its database goes down at the same moment.
        """
        output.heal()
        command = processes.tethered([sys.executable, "-m", f"services.{self.name}"], dies_by=SIGKILL)
        self.process = processes.spawn(command, env=self.environment)


def stop_all(services: list[Service]) -> None:
    """Let all of them finish what they have in hand, together at most `STOP_SECONDS`; then kill."""
    running = [service.process for service in services if service.process is not None]
    for process in running:
        process.send_signal(SIGTERM)
    processes.until(lambda: all(process.poll() is not None for process in running), seconds=STOP_SECONDS)
    for process in running:
        process.kill()
        process.wait()


def readiness(host: str, port: int, *, tls: ssl.SSLContext | None = None) -> tuple[bool, str]:
    """Return whether the API says that it is ready, and what it says."""
    if tls is None:
        connection = http.client.HTTPConnection(host, port, timeout=1)
    else:
        connection = http.client.HTTPSConnection(host, port, timeout=1, context=tls)
    try:
        connection.request("GET", "/ready")
        response = connection.getresponse()
        return response.status == 200, f"{response.status} {response.read(1000).decode(errors='replace')}"
    except (OSError, http.client.HTTPException) as error:
        return False, str(error)
    finally:
        connection.close()
