"""The gateway's limits lie above the API's, so that its clients meet the API's answers."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
import uvicorn

from services.api import heads
from services.api.app import LARGEST_BODY
from services.api.envelope import LONGEST_REQUEST
from services.api.server import GRACE_SECONDS
from tests import gateway

CERTIFICATES = Path(__file__).parents[2] / "integration/dispatcher/certificates"
TEXT = (gateway.FOLDER / "nginx.conf").read_text()


def value_of(directive: str) -> list[str]:
    """Return what a directive that stands there once is set to."""
    [found] = re.findall(rf"^\s*{directive} ([^;]+);", TEXT, re.MULTILINE)
    return found.split()


def seconds(directive: str) -> timedelta:
    [text] = value_of(directive)
    assert text.endswith("s")
    return timedelta(seconds=float(text.removesuffix("s")))


def test_bodies_and_heads_that_the_api_takes_or_refuses_itself_reach_it() -> None:
    [largest] = value_of("client_max_body_size")
    number, line = value_of("large_client_header_buffers")

    assert int(largest.removesuffix("m")) * 1024 * 1024 > LARGEST_BODY
    assert int(line.removesuffix("k")) * 1024 >= heads.LARGEST
    assert int(number) > 1


def test_the_gateway_waits_longer_than_the_api_takes() -> None:
    assert seconds("proxy_read_timeout") > LONGEST_REQUEST
    assert seconds("proxy_send_timeout") > LONGEST_REQUEST
    assert seconds("worker_shutdown_timeout") > timedelta(seconds=GRACE_SECONDS)


def test_a_connection_is_let_go_before_the_api_closes_it() -> None:
    kept = re.findall(r"^\s*keepalive_timeout (\d+)s;", TEXT.split("upstream api", 1)[1], re.MULTILINE)

    assert [int(each) for each in kept] < [uvicorn.Config("", log_config=None).timeout_keep_alive]


@pytest.mark.parametrize("listen", ["listen.conf", "tls.conf"])
def test_nginx_takes_the_configuration(tmp_path: Path, listen: str) -> None:
    (tmp_path / "tls").mkdir()
    for name, source in (("fullchain.pem", "good.pem"), ("privkey.pem", "key.pem")):
        (tmp_path / "tls" / name).write_bytes((CERTIFICATES / source).read_bytes())
    text = (gateway.FOLDER / listen).read_text().replace("/etc/nginx/", f"{tmp_path}/")

    assert gateway.check(tmp_path, gateway.configuration(tmp_path, text)) == ""


def test_nginx_would_object_to_a_mistake(tmp_path: Path) -> None:
    text = gateway.configuration(tmp_path, "listen 8080; lisen 8081;")

    assert "lisen" in gateway.check(tmp_path, text)
