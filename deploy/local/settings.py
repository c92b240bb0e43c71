"""Decide what the local run does, from the environment and an optional `.env`; the environment wins.

Pure: the values come in as mappings, and what the children get goes out as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from deploy.local.errors import InvalidSetting

SERVICES = ("api", "scheduler", "dispatcher")
"""In the order of their operations ports."""

LOOPBACK = "127.0.0.0/8,::1/128"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the local run does."""

    database_url: str | None
    """A PostgreSQL that runs already; None: start our own."""
    redis_url: str | None
    data: Path
    host: str
    port: int
    ops_host: str
    ops_port: int
    """The API's; the scheduler and the dispatcher have the next two."""

    @property
    def base_url(self) -> str:
        """Where this machine reaches the API."""
        return f"http://{bracketed(self.reachable_host)}:{self.port}"

    @property
    def reachable_host(self) -> str:
        """The API's address, or loopback when it listens everywhere."""
        return _reachable(self.host)

    @property
    def ready_at(self) -> list[tuple[str, int]]:
        """Where each service says whether it is ready: the API to its clients, the others on their operations ports."""
        ports = range(self.ops_port + 1, self.ops_port + len(SERVICES))
        return [(self.reachable_host, self.port), *((_reachable(self.ops_host), port) for port in ports)]


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


def merged(environment: Mapping[str, str], dotenv: Mapping[str, str | None]) -> dict[str, str]:
    """Return all values, those of the environment over those of the `.env` file."""
    return {name: value for name, value in dotenv.items() if value is not None} | dict(environment)


def settings_from(values: Mapping[str, str]) -> Settings:
    """Return the settings that the values ask for; blank ones count as unset.

    Raise `InvalidSetting` naming the one to change.
    """
    port = _port(values, "QHRONOS_API_PORT", 8080, highest=65535)
    ops_port = _port(values, "QHRONOS_OPS_PORT", 9090, highest=65535 - len(SERVICES) + 1)
    if ops_port <= port < ops_port + len(SERVICES):
        raise InvalidSetting(
            f"QHRONOS_API_PORT={port} is one of the operations ports {ops_port} to {ops_port + len(SERVICES) - 1}: "
            "change it or QHRONOS_OPS_PORT"
        )
    return Settings(
        database_url=values.get("QHRONOS_DATABASE_URL") or None,
        redis_url=values.get("QHRONOS_REDIS_URL") or None,
        data=Path(values.get("QHRONOS_DATA_DIR") or ".qhronos").expanduser().absolute(),
        host=values.get("QHRONOS_API_HOST") or "127.0.0.1",
        port=port,
        ops_host=values.get("QHRONOS_OPS_HOST") or "127.0.0.1",
        ops_port=ops_port,
    )


def environment_of(
    service: str, values: Mapping[str, str], settings: Settings, given: Mapping[str, str]
) -> dict[str, str]:
    """Return the whole environment of one service: the values, completed.

    `given` holds what the run itself made: URLs of its servers and its secrets.
    """
    defaults = {
        "QHRONOS_ENV": "local",
        "QHRONOS_API_HOST": settings.host,
        "QHRONOS_API_PORT": str(settings.port),
        **given,
    }
    filled = {name: value for name, value in values.items() if value or name not in defaults}
    own = {
        "QHRONOS_DATA_DIR": str(settings.data),
        "QHRONOS_OPS_PORT": str(settings.ops_port + SERVICES.index(service)),
    }
    environment = {"QHRONOS_EGRESS_ALLOW": LOOPBACK, **defaults, **filled, **own}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # without the cache every start compiles everything
    return environment


def bracketed(host: str) -> str:
    """Return `host` as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def _port(values: Mapping[str, str], name: str, default: int, *, highest: int) -> int:
    text = values.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= highest):
        raise InvalidSetting(f"{name}={text} is not a port between 1 and {highest}")
    return int(text)
