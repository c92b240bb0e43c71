"""Write new events, with their first versions and the deliveries that wait for them: any number in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

import msgspec
from psycopg.types.json import Json

from shared.domain.deliveries import PlannedDelivery
from shared.domain.events import Event
from shared.domain.ids import ChainId, EventId
from shared.store import audit, planned_deliveries
from shared.store.pool import Connection


class Creation(msgspec.Struct, frozen=True, kw_only=True):
    """A new event and what goes with it."""

    event: Event
    hmac_secret: str | None = None
    """As it is stored: sealed."""
    first: PlannedDelivery | None = None
    chain_id: ChainId | None = None
    """The delivery chain that it was created in."""


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """What became of new events."""

    similar: dict[EventId, list[EventId]]
    """For each that is written, the newest events that do the same and were there before."""
    taken: dict[EventId, EventId | None]
    """For each that is not, for its `external_id` is in use: whose it is, None when that has just gone."""


# An event that is not written, for its external_id is in use, gets neither a version nor a delivery.
NEW: LiteralString = """
    WITH given AS (
        SELECT id, name, tags, webhook_url, schedule, external_id, hmac_secret, created_by, chain_id, created_at,
               content
          FROM json_to_recordset(%(events)s::json)
            AS given(id uuid, name text, tags text[], webhook_url text, schedule text, external_id text,
                     hmac_secret text, created_by text, chain_id uuid, created_at timestamptz, content json)
    ), event AS (
        INSERT INTO events (id, version, name, tags, webhook_url, external_id, likeness,
                            hmac_secret, created_by, chain_id, created_at, updated_at)
        SELECT id, 1, name, tags, webhook_url, external_id, likeness_of(name, webhook_url, schedule),
               hmac_secret, created_by, chain_id, created_at, created_at
          FROM given
         ORDER BY external_id      -- so that no two batches wait for each other
            ON CONFLICT (created_by, external_id) WHERE external_id IS NOT NULL AND status <> 'deleted' DO NOTHING
     RETURNING id, created_by, likeness
    ), version AS (
        INSERT INTO event_versions (event_id, version, content, change, changed_by, changed_at, request_id)
        SELECT id, 1, content, 'created', created_by, created_at, %(request_id)s
          FROM given
         WHERE id IN (SELECT id FROM event)
    ), delivery AS (
"""
SIMILAR: LiteralString = """
     WHERE event_id IN (SELECT id FROM event)
    )
    SELECT event.id,
           ARRAY (SELECT twin.id FROM events AS twin                -- as they were before this statement
                   WHERE twin.created_by = event.created_by AND twin.likeness = event.likeness
                     AND twin.status <> 'deleted'
                   ORDER BY twin.id DESC
                   LIMIT 10)     -- were it a parameter, a plan for all values of it would seem dear
      FROM event
"""
INSERT: LiteralString = NEW + planned_deliveries.PLANNED + SIMILAR

HOLDERS: LiteralString = """
    SELECT given.id, holder.id
      FROM unnest(%(ids)s::uuid[], %(subs)s::text[], %(external_ids)s::text[]) AS given(id, created_by, external_id)
      LEFT JOIN events AS holder
        ON holder.created_by = given.created_by AND holder.external_id = given.external_id
       AND holder.id <> given.id AND holder.status <> 'deleted'
"""


async def insert(conn: Connection, creations: Sequence[Creation]) -> Created:
    """Write new events, but those whose `external_id` another one of the same creator has."""
    events = [_row(creation) for creation in creations]
    planned = [creation.first for creation in creations if creation.first is not None]
    parameters = {
        "events": Json(events),
        "request_id": audit.request_id(),
        **planned_deliveries.parameters_of(planned),
    }
    cursor = await conn.execute(INSERT, parameters, binary=True)
    similar: dict[EventId, list[EventId]] = dict(await cursor.fetchall())
    left_out = [creation.event for creation in creations if creation.event.id not in similar]
    return Created(similar=similar, taken=await holders(conn, left_out) if left_out else {})


async def holders(conn: Connection, events: Sequence[Event]) -> dict[EventId, EventId | None]:
    """Return which other live event of the same creator has the `external_id` of each of these."""
    parameters = {
        "ids": [event.id for event in events],
        "subs": [event.created_by for event in events],
        "external_ids": [event.content.external_id for event in events],
    }
    cursor = await conn.execute(HOLDERS, parameters, binary=True)
    return dict(await cursor.fetchall())


def _row(creation: Creation) -> dict[str, object]:
    event, content = creation.event, creation.event.content
    return {
        "id": event.id,
        "name": content.name,
        "tags": content.tags,
        "webhook_url": content.webhook_url,
        "schedule": content.timing.schedule,
        "external_id": content.external_id,
        "hmac_secret": creation.hmac_secret,
        "created_by": event.created_by,
        "chain_id": creation.chain_id,
        "created_at": event.created_at,
        "content": content,
    }
