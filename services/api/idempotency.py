"""Do once what a client asks for more than once: requests with an `Idempotency-Key`.

Only success is remembered, in the transaction that it belongs to: a request that was refused or that failed may be
repaired and sent again with the same key.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import msgspec
from litestar import Response

from services.api import changes
from services.api.callers import Caller
from services.api.context import AnyRequest, caller_of, context_of
from shared.domain.content import Json
from shared.errors import Conflict, FieldError, Invalid, Malformed
from shared.store import idempotency_keys
from shared.store.idempotency_keys import KeptAnswer, Key
from shared.store.pool import Connection

HEADER = "Idempotency-Key"
REPLAYED = "idempotency-replayed"

_GOOD_KEY = re.compile(r"[\x20-\x7e]{1,255}")


class Done(msgspec.Struct, frozen=True):
    """What a request came to, and when the first delivery that it planned is due."""

    answer: Response[bytes]
    due_at: datetime | None


Write = Callable[[Connection], Awaitable[Done]]
Prepare = Callable[[], Awaitable[Write]]


async def once(request: AnyRequest, document: Mapping[str, Json], prepare: Prepare) -> Response[bytes]:
    """Answer a request; one that carries the key of an earlier one, with that one's answer.

    `prepare` judges the request and returns what writes it. A repetition is not judged again: its time may have passed.
    """
    context = context_of(request)
    text = request.headers.get(HEADER)
    if text is None:
        write = await prepare()
        async with context.pool.connection() as conn:
            done = await write(conn)
    else:
        key = _key(request, text, document)
        async with context.pool.connection() as conn, conn.transaction():
            if not await idempotency_keys.try_lock(conn, key):
                raise Conflict(f"A request with this {HEADER} is still running.", code="idempotency_key_in_use")
            earlier = await idempotency_keys.find(conn, key)
            if earlier is not None:
                return _replayed(earlier, key)
            write = await prepare()
            done = await write(conn)
            await idempotency_keys.keep(
                conn,
                key,
                status_code=done.answer.status_code or 200,
                headers=dict(done.answer.headers),
                answer=done.answer.content,
            )
    changes.nudge_if_soon(context, done.due_at)
    return done.answer


def request_hash(method: str, path: str, document: Mapping[str, Json], caller: Caller) -> bytes:
    """Return what requests for the same, in the same sight, have in common however their JSON is written."""
    what = (method, path, document, sorted(caller.scope), caller.sight.every)
    return hashlib.sha256(msgspec.json.encode(what, order="deterministic")).digest()


def _key(request: AnyRequest, text: str, document: Mapping[str, Json]) -> Key:
    if not _GOOD_KEY.fullmatch(text):
        raise Malformed(f"The header {HEADER} must hold 1 to 255 printable ASCII characters, such as a UUID.")
    caller = caller_of(request)
    return Key(
        sub=caller.sub,
        key=text,
        request_hash=request_hash(request.method, request.url.path, document, caller),
    )


def _replayed(earlier: KeptAnswer, key: Key) -> Response[bytes]:
    if earlier.request_hash != key.request_hash:
        error = FieldError(
            pointer=HEADER,
            message="This key came with another request before.",
            hint="Take a new key for every request, and the same one only to send it again; a key lives for a day.",
        )
        raise Invalid([error], code="idempotency_key_reused")
    return Response(
        earlier.answer,
        status_code=earlier.status_code,
        media_type="application/json",
        headers={**earlier.headers, REPLAYED: "true"},
    )
