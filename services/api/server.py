"""How the API listens: uvicorn, by our rules.

A client's address, by which those without a good token are limited, is the peer's, unless the peer is a proxy that an
operator trusts: any other could choose what stands in `X-Forwarded-For`.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from litestar.types import ASGIApp

from services.api.connections import Connection
from services.api.settings import ApiSettings

GRACE_SECONDS = 10


class Server(uvicorn.Server):
    """Uvicorn without signal handlers of its own: the process has one place for them."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals alone."""
        yield


def build(app: ASGIApp, config: ApiSettings) -> Server:
    """Return a server for the application; it listens once it is told to serve."""
    return Server(
        uvicorn.Config(
            app,
            host=config.api_host,
            port=config.api_port,
            http=Connection,
            ws="none",
            access_log=False,
            log_config=None,
            lifespan="off",
            server_header=False,
            proxy_headers=bool(config.trusted_proxies),
            forwarded_allow_ips=[str(network) for network in config.trusted_proxies],
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
