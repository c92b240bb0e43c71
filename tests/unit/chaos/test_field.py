"""Services meet the proxies, never the servers themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local.postgres import Postgres
from deploy.local.valkey import Valkey
from tests.chaos.field import moved

FRONT = Path("/front")


def test_a_moved_url_leads_to_the_proxy_only(tmp_path: Path) -> None:
    postgres, valkey = Postgres(tmp_path / "p q"), Valkey(tmp_path / "v q")

    assert moved(postgres.url(), postgres.sockets, FRONT) == "postgresql://qhronos@/qhronos?host=%2Ffront&port=5432"
    assert moved(valkey.url(), valkey.socket, FRONT) == "unix:///front?db=0"


def test_a_url_that_does_not_lead_to_the_server_is_not_moved() -> None:
    with pytest.raises(ValueError, match="is not in"):
        moved("postgresql://elsewhere", Path("/server"), FRONT)
