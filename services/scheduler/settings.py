"""What the scheduler needs to know."""

from __future__ import annotations

from shared.settings import Settings


class SchedulerSettings(Settings, frozen=True, kw_only=True):
    """Read from the environment by `shared.settings`."""

    database_url: str
    redis_url: str
    ops_host: str = "127.0.0.1"
    ops_port: int = 9090
