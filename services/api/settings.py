"""What the API needs to know."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from msgspec import Meta

from shared.settings import BUILT_IN_HMAC_SECRET, Keys, Networks, Secrets, Settings


class ApiSettings(Settings, frozen=True, kw_only=True):
    """Read from the environment by `shared.settings`."""

    database_url: str
    redis_url: str
    master_token: str
    jwt_secret: Secrets
    default_hmac_secret: str = BUILT_IN_HMAC_SECRET
    encryption_keys: Keys = ()
    """What events' secrets are sealed with in the database."""
    egress_allow: Networks = ()
    """Networks that webhooks may reach although they are not public."""
    min_interval: timedelta = timedelta(seconds=60)
    """The shortest distance that a rule's occurrences may have."""
    rate_limit_bucket: Annotated[int, Meta(ge=1, le=1_000_000)] = 100
    """How many requests a token, or an address without one, may make at once."""
    rate_limit_refill: Annotated[float, Meta(ge=0.001, le=10_000)] = 10
    """How many per second."""
    quota_active_events: Annotated[int, Meta(ge=1)] = 100_000
    """How many active events one `sub` may have when it creates or revives more; the master may have any number."""
    quota_creates_per_minute: Annotated[int, Meta(ge=1)] = 6000
    """How many events one `sub` may create in a minute."""
    quota_chain_events: Annotated[int, Meta(ge=1)] = 2000
    """How many events the webhooks of one event, and of those that they lead to, may create in 24 hours."""
    trusted_proxies: Networks = ()
    """Networks of the proxies from which `X-Forwarded-For` is believed."""
    api_host: str = "127.0.0.1"
    api_port: int = 8080
    ops_host: str = "127.0.0.1"
    ops_port: int = 9090
