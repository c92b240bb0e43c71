"""Drive Compose, whichever of its two programs is there, and ask whether what it has started answers."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Sequence
from http import HTTPStatus

from deploy.local import services
from deploy.local.errors import ProgramNotFound

PROGRAMS = (("docker", "compose"), ("docker-compose",))


def program() -> tuple[str, ...]:
    """Return the command that Compose is here; ProgramNotFound when there is none."""
    for command in PROGRAMS:
        if shutil.which(command[0]) and run([*command, "version"], output=subprocess.DEVNULL) == 0:
            return command
    raise ProgramNotFound(
        "neither `docker compose` nor `docker-compose` is here. `make run` needs neither; "
        "on Debian and Ubuntu: apt install docker.io docker-compose"
    )


def run(command: Sequence[str], *, output: int | None = None) -> int:
    """Run a command, on our own terminal unless told otherwise, and return its exit code."""
    return subprocess.run(command, check=False, stdout=output, stderr=output).returncode  # noqa: S603 - one of ours


def readiness(host: str, port: int) -> tuple[str, bool, str]:
    """Return the scheme that the gateway speaks, whether the API behind it is ready, and what was answered.

    The certificate is not checked: it names the host that clients use, which is hardly this one's loopback.
    """
    ready, answer = services.readiness(host, port)
    if not answer.startswith(f"{HTTPStatus.BAD_REQUEST} "):
        return "http", ready, answer
    unchecked = ssl.create_default_context()
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    return "https", *services.readiness(host, port, tls=unchecked)
