"""What the scheduler needs to know."""

from __future__ import annotations

from datetime import timedelta

from shared.settings import InvalidSettings, Settings

SHORTEST_RETENTION = timedelta(days=1)
LONGEST_RETENTION = timedelta(days=36_500)


class SchedulerSettings(Settings, frozen=True, kw_only=True):
    """Read from the environment by `shared.settings`."""

    database_url: str
    redis_url: str
    ops_host: str = "127.0.0.1"
    ops_port: int = 9090
    retention: timedelta | None = timedelta(days=90)
    """How long history is kept; None: for ever."""

    def __post_init__(self) -> None:
        """Refuse a retention that cannot be meant."""
        if self.retention is not None and not SHORTEST_RETENTION <= self.retention <= LONGEST_RETENTION:
            raise InvalidSettings(
                "Qhronos cannot start:\n  QHRONOS_RETENTION is not usable: it must lie between P1D and P36500D,"
                " or be empty to keep history for ever."
            )
