"""How long a test waits for what must come: more than a slow machine needs, for where all is well it costs nothing.

It is less than a lease, which would deliver in the end what a fault had held up.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.dispatcher import dispatcher, sender
from shared import operations, readiness
from shared.store import pool
from shared.stream import client

PATIENCE = 50.0
"""Seconds."""

_OF_OUR_CODE = 20.0
"""Seconds after which our code gives up on a server, where in production it is a few."""
_ON_CONNECTIONS = "-c timezone=UTC -c statement_timeout=300s -c lock_timeout=50s"


def let_our_code_wait(patch: pytest.MonkeyPatch) -> None:
    """Let code that runs in this process not give up on a server that a busy machine keeps from answering."""
    patch.setattr(pool, "_GIVE_UP_AFTER", timedelta(seconds=_OF_OUR_CODE))
    patch.setitem(pool._OPTIONS, "connect_timeout", int(_OF_OUR_CODE))  # pyright: ignore[reportPrivateUsage]
    patch.setitem(pool._OPTIONS, "options", _ON_CONNECTIONS)  # pyright: ignore[reportPrivateUsage]
    patch.setattr(client, "_GIVE_UP_AFTER", _OF_OUR_CODE)
    patch.setattr(readiness, "_PATIENCE", _OF_OUR_CODE)
    patch.setattr(operations, "_PATIENCE", _OF_OUR_CODE)
    patch.setattr(sender, "LONGEST_BODY_WAIT", _OF_OUR_CODE)
    patch.setattr(dispatcher, "GRACE", timedelta(seconds=_OF_OUR_CODE))
    patch.setattr(dispatcher, "LONGEST_FLUSH", timedelta(seconds=_OF_OUR_CODE))
