"""Why the local run cannot start or go on. Each message says what to do about it."""

from __future__ import annotations

from shared.errors import QhronosError


class CannotRun(QhronosError):
    """Any of the facts below."""


class InvalidSetting(CannotRun):
    """A setting that cannot be used as it is."""


class AlreadyRunning(CannotRun):
    """Another run uses this data folder."""


class PortTaken(CannotRun):
    """A port that one of our processes needs cannot be had."""


class ProgramNotFound(CannotRun):
    """No server program, or none that is new enough."""


class ServerFailed(CannotRun):
    """An embedded server did not start."""


class MigrationFailed(CannotRun):
    """`python -m migrations` did not succeed."""
