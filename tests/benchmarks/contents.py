"""The event that everything is measured with: once, described, tagged, with some metadata."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from shared.domain.content import Content, Json
from tests import factories

NAME = "Follow up on the invoice"
DESCRIPTION = "Ask whether the payment of the March invoice has been received; remind the customer if it has not."
METADATA: Mapping[str, Json] = {
    "invoice": "2027-03-0042",
    "customer": {"id": 81_723, "name": "Arbor & Sons", "locale": "en-GB"},
    "amount": 1234.5,
    "channel": "email",
}
TAGS = ("billing:reminder", "env:production")


def content(url: str) -> Content:
    """Return what is stored of it; its time is where the delivery is."""
    timing = factories.timing_of(datetime.now(UTC) + timedelta(days=30))
    return msgspec.structs.replace(
        factories.content_of(timing, url=url),
        name=NAME,
        description=DESCRIPTION,
        metadata=dict(METADATA),
        tags=TAGS,
    )


def new_event(url: str) -> bytes:
    """Return the body of the request that creates it."""
    return msgspec.json.encode(
        {
            "name": NAME,
            "description": DESCRIPTION,
            "start_time": (datetime.now(UTC) + timedelta(days=30)).isoformat(timespec="seconds"),
            "webhook_url": url,
            "tags": TAGS,
            "metadata": METADATA,
        }
    )
