"""Write results down in batches, fenced by epoch, and only then forget their messages."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

import msgspec
import structlog

from shared import metrics
from shared.domain.attempts import Attempt
from shared.domain.deliveries import Finished, Held, Retried
from shared.domain.ids import EventId
from shared.store import attempts, deliveries, events, planned_deliveries
from shared.store.pool import Connection

LARGEST_BATCH = 256
LONGEST_WAIT = 0.02
IDLE_WAIT = 0.2

log = structlog.get_logger()


class Result(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The end of one claim: what becomes of the delivery, and the request that was made, if any."""

    event_id: EventId
    end: Finished | Retried
    attempt: Attempt | None = None
    disables_event: bool = False
    request_id: str | None = None
    """Of the call to the API that asked for it."""

    @cached_property
    def claim(self) -> Held:
        """The claim that ended."""
        return Held(self.end.occurrence_id, self.end.epoch)


async def collect(queue: asyncio.Queue[Result]) -> list[Result]:
    """Wait for a result, then for the others that come within 20 ms, up to 256. Empty when none comes in 0.2 s."""
    batch: list[Result] = []
    try:
        async with asyncio.timeout(IDLE_WAIT):
            batch.append(await queue.get())
        async with asyncio.timeout(LONGEST_WAIT):
            while len(batch) < LARGEST_BATCH:
                batch.append(await queue.get())
    except TimeoutError:
        pass
    return batch


async def write(conn: Connection, batch: Sequence[Result]) -> None:
    """Record a batch in one transaction. Written twice, it changes nothing the second time."""
    finished = [r.end for r in batch if isinstance(r.end, Finished)]
    retried = [r.end for r in batch if isinstance(r.end, Retried)]
    async with conn.transaction():
        ended = await deliveries.finish(conn, finished) if finished else {}
        again: set[Held] = await deliveries.retry(conn, retried) if retried else set()
        good = ended.keys() | again
        stale = {r.claim for r in batch} - good
        made = [_marked(r.attempt, stale=r.claim in stale) for r in batch if r.attempt]
        if made:
            await attempts.record(conn, made)
        gone = sorted({r.event_id for r in batch if r.disables_event and r.claim in good})
        if gone:
            await _disable(conn, gone)
    if ended:
        await events.complete_finished(conn, sorted({event_id for event_id, _ in ended.values()}))
    metrics.STALE.inc(len(stale))
    for status, number in Counter(status for _, status in ended.values()).items():
        metrics.FINISHED.labels(status=status).inc(number)
    for outcome, number in Counter(r.attempt.outcome for r in batch if r.attempt).items():
        metrics.ATTEMPTS.labels(outcome=outcome.value).inc(number)
    for result in batch:
        if result.attempt:
            metrics.ATTEMPT_SECONDS.observe(result.attempt.duration_ms / 1000)
        _tell(result, stale=result.claim in stale)


def _marked(attempt: Attempt, *, stale: bool) -> Attempt:
    return msgspec.structs.replace(attempt, stale=True) if stale else attempt


async def _disable(conn: Connection, gone: Sequence[EventId]) -> None:
    """Stop events for good; the lock first, so that no scheduler plans on behind our back."""
    await events.lock(conn, gone)
    await events.disable(conn, gone, reason="gone")
    for event_id in gone:
        await planned_deliveries.cancel_of_event(conn, event_id, reason="event_disabled")


def _tell(result: Result, *, stale: bool) -> None:
    """Write one line with an attempt's whole story."""
    end = result.end
    fields: dict[str, object] = {
        "occurrence_id": str(end.occurrence_id),
        "event_id": str(result.event_id),
        "epoch": end.epoch,
        "request_id": result.request_id,
    }
    attempt = result.attempt
    if attempt:
        fields |= {
            "number": attempt.number,
            "outcome": attempt.outcome.value,
            "status_code": attempt.status_code,
            "duration_ms": attempt.duration_ms,
            "error": attempt.error,
        }
    if isinstance(end, Retried):
        fields |= {"delivery": "retrying", "retry_in_s": round(end.delay.total_seconds(), 1)}
    else:
        fields |= {"delivery": end.status, "reason": end.reason}
    if stale:
        fields["stale"] = True
    log.info("attempt.finished" if attempt else "delivery.ended", **{k: v for k, v in fields.items() if v is not None})
