"""The stream from schedulers to dispatchers: hints about claims, never the truth about them.

Losing it costs one lease of delay. A message names a claim (occurrence and epoch) and its due time, no payload.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import msgspec

from shared.domain.deliveries import ClaimedDelivery, Held
from shared.domain.destinations import NOWHERE, DestinationId
from shared.domain.ids import OccurrenceId
from shared.stream.client import Redis, ResponseError

STREAM = "qhronos:deliveries"
GROUP = "dispatchers"
FORMAT = b"1"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NEVER_IDLE_MS = 10**12


class Message(msgspec.Struct, frozen=True):
    """A stream entry; `held` is None when its format is not ours, or when the entry is gone."""

    id: bytes
    held: Held | None
    due_at: datetime
    destination: DestinationId = NOWHERE


class Readers(msgspec.Struct, frozen=True):
    """The dispatchers that read the stream, and how many messages they have read and not ended yet."""

    consumers: int
    pending: int


async def length(client: Redis) -> int:
    """Return how many messages there are, read or not, whose result is not written yet."""
    return await client.xlen(STREAM)


async def readers(client: Redis) -> Readers:
    """Return who reads the stream and how far they are."""
    try:
        groups = await client.xinfo_groups(STREAM)
    except ResponseError:
        return Readers(0, 0)  # nobody has made the stream yet
    return Readers(sum(int(group["consumers"]) for group in groups), sum(int(group["pending"]) for group in groups))


async def publish(client: Redis, claimed: Sequence[ClaimedDelivery]) -> list[ClaimedDelivery]:
    """Tell the dispatchers about claims that are committed; return those that Redis refused to take."""
    pipeline = client.pipeline(transaction=False)
    for claim in claimed:
        pipeline.xadd(
            STREAM,
            {
                "v": FORMAT,
                "occurrence_id": claim.occurrence_id.bytes,
                "epoch": claim.epoch,
                "destination": claim.destination,
                "due_us": (claim.due_at - _EPOCH) // _MICROSECOND,
            },
        )
    answers = await pipeline.execute(raise_on_error=False)
    return [claim for claim, answer in zip(claimed, answers, strict=True) if isinstance(answer, ResponseError)]


async def read(client: Redis, consumer: str, *, count: int, block: timedelta) -> list[Message]:
    """Wait for up to `count` new messages. Makes the group anew when Redis has lost it."""
    try:
        answer = await client.xreadgroup(
            GROUP, consumer, {STREAM: ">"}, count=count, block=int(block.total_seconds() * 1000)
        )
    except ResponseError as error:
        if not str(error).startswith("NOGROUP"):
            raise
        await ensure_group(client)
        return []
    streams = cast("list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]", answer or [])
    return [_message(id_, fields) for _, entries in streams for id_, fields in entries]


async def ensure_group(client: Redis) -> None:
    """Create stream and group unless they are there, from the beginning: entries in between are not lost."""
    try:
        await client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


async def forget(client: Redis, ids: Sequence[bytes]) -> None:
    """Acknowledge and delete entries whose result is in PostgreSQL, or which no longer matter."""
    pipeline = client.pipeline(transaction=False)
    pipeline.xack(STREAM, GROUP, *ids)
    pipeline.xdel(STREAM, *ids)
    await pipeline.execute()


async def show_life(client: Redis, consumer: str) -> None:
    """Count as heard from, also when there is no room to read."""
    await client.xautoclaim(STREAM, GROUP, consumer, min_idle_time=_NEVER_IDLE_MS, count=1)


async def silent_consumers(client: Redis, *, silent_for: timedelta) -> list[str]:
    """Return the consumers that have not been heard from for so long."""
    consumers = await client.xinfo_consumers(STREAM, GROUP)
    limit = silent_for.total_seconds() * 1000
    return [consumer["name"].decode() for consumer in consumers if consumer["idle"] > limit]


async def pending_of(client: Redis, consumer: str, *, count: int) -> list[Message]:
    """Return the oldest entries that a consumer has read and not acknowledged."""
    pending = await client.xpending_range(STREAM, GROUP, "-", "+", count, consumername=consumer)
    if not pending:
        return []
    pipeline = client.pipeline(transaction=False)
    for entry in pending:
        pipeline.xrange(STREAM, entry["message_id"], entry["message_id"])
    found = await pipeline.execute()
    return [
        _message(entry["message_id"], entries[0][1] if entries else {})
        for entry, entries in zip(pending, found, strict=True)
    ]


async def remove_consumer(client: Redis, consumer: str) -> None:
    """Forget a consumer. Its unacknowledged entries go with it: give their claims back first."""
    await client.xgroup_delconsumer(STREAM, GROUP, consumer)


def _message(id_: Any, fields: dict[bytes, bytes]) -> Message:  # noqa: ANN401 - the driver does not say
    if fields.get(b"v") != FORMAT:
        return Message(id_, None, _EPOCH)
    try:
        held = Held(OccurrenceId(UUID(bytes=fields[b"occurrence_id"])), int(fields[b"epoch"]))
        destination = DestinationId(int(fields.get(b"destination", NOWHERE)))
        return Message(id_, held, _EPOCH + int(fields[b"due_us"]) * _MICROSECOND, destination)
    except (KeyError, ValueError, OverflowError):
        return Message(id_, None, _EPOCH)
