"""Replace an event's secret while its receivers change over: for a while both sign."""

from __future__ import annotations

import base64
import secrets
from datetime import datetime, timedelta

import msgspec

from services.api.callers import Caller
from services.api.context import Context
from shared.domain.ids import EventId
from shared.domain.secrets import rotated
from shared.errors import NotFound
from shared.store import events
from shared.store import secrets as stored_secrets

LONGEST_GRACE = timedelta(days=30)
_KEY_BYTES = 32


def new_secret() -> str:
    """Return a secret that nobody has seen."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


async def rotate(context: Context, event_id: EventId, secret: str, *, grace: timedelta, caller: Caller) -> datetime:
    """Let `secret` sign an event's deliveries; return until when the present one does so as well."""
    async with context.pool.connection() as conn, conn.transaction():
        event = await events.get_to_change(conn, event_id, sight=caller.sight)
        if event.status == "deleted":
            raise NotFound(f"The event {event_id} is deleted.", code="event_not_found")
        now = context.clock.now()
        before = await stored_secrets.read(conn, event_id)
        after = rotated(before, context.seals.seal(secret, event_id), now=now, valid_until=now + grace)
        await stored_secrets.write(conn, event_id, after)
        changed = msgspec.structs.replace(event, version=event.version + 1, has_hmac_secret=True, updated_at=now)
        await events.change(conn, changed, change="updated", fields=["hmac_secret"], by=caller.sub)
    return now + grace
