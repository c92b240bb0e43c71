"""The baseline of the API: the same framework, driver, server and pool with one statement for each request.

A helper. It checks nothing, plans nothing and answers what is stored: `POST /events`, and `GET /events`, newest first.
"""

from __future__ import annotations

import sys
import uuid
from typing import Any, LiteralString

import msgspec
import uvicorn
import uvloop
from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State
from psycopg.types.json import Json

from shared.store.pool import Pool, open_pool
from tests.benchmarks.helpers import say

POOL_SIZE = 10

TABLE: LiteralString = """
    CREATE TABLE bare_events (
        id          uuid        PRIMARY KEY,
        name        text        NOT NULL,
        tags        text[]      NOT NULL,
        webhook_url text        NOT NULL,
        content     json        NOT NULL,
        created_at  timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX ON bare_events (created_at DESC, id DESC);
    CREATE INDEX ON bare_events USING gin (tags)
"""
INSERT: LiteralString = """
    INSERT INTO bare_events (id, name, tags, webhook_url, content)
    VALUES (%(id)s, %(name)s, %(tags)s, %(webhook_url)s, %(content)s)
"""
NEWEST: LiteralString = """
    SELECT v.content
      FROM events AS e
      JOIN event_versions AS v ON v.event_id = e.id AND v.version = e.version
     ORDER BY e.created_at DESC, e.id DESC
     LIMIT %(limit)s
"""
NEWEST_TAGGED: LiteralString = """
    SELECT v.content
      FROM events AS e
      JOIN event_versions AS v ON v.event_id = e.id AND v.version = e.version
     WHERE e.tags @> %(tags)s::text[]
     ORDER BY e.created_at DESC, e.id DESC
     LIMIT %(limit)s
"""


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What is posted."""

    name: str
    description: str
    start_time: str
    webhook_url: str
    tags: list[str]
    metadata: dict[str, Any]


@post("/events")
async def create_event(data: NewEvent, state: State) -> Response[bytes]:
    pool: Pool = state["pool"]
    id_ = uuid.uuid4()
    parameters = {
        "id": id_,
        "name": data.name,
        "tags": data.tags,
        "webhook_url": data.webhook_url,
        "content": Json(data),
    }
    async with pool.connection() as conn, conn.transaction():
        await conn.execute(INSERT, parameters)
    return _reply({"id": id_, **msgspec.structs.asdict(data)}, status=201)


@get("/events")
async def list_events(request: Request[Any, Any, Any], state: State) -> Response[bytes]:
    pool: Pool = state["pool"]
    tags = request.query_params.getall("tags", [])
    async with pool.connection() as conn:
        cursor = await conn.execute(NEWEST_TAGGED if tags else NEWEST, {"limit": 50, "tags": tags}, binary=True)
        rows = await cursor.fetchall()
    return _reply({"data": [msgspec.Raw(content) for (content,) in rows]}, status=200)


async def main(database_url: str, port: int) -> None:
    """Serve until the process is ended."""
    async with open_pool(database_url, name="bare", size=POOL_SIZE) as pool:
        async with pool.connection() as conn:
            await conn.execute(TABLE)
        app = Litestar(
            [create_event, list_events], openapi_config=None, logging_config=None, state=State({"pool": pool})
        )
        server = uvicorn.Server(
            uvicorn.Config(app, host="127.0.0.1", port=port, access_log=False, log_config=None, lifespan="off")
        )
        say("ready")
        await server.serve()


def _reply(content: object, *, status: int) -> Response[bytes]:
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
