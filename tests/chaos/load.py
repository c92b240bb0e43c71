"""What is sent: events stored ahead, so that it is known what must arrive, and a small stream through the API."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import aiohttp
import msgspec
import psycopg
from psycopg.types import json as sql_json

from shared import planning
from shared.domain import epochs
from shared.domain.content import Content, Misfire, Timing
from shared.domain.deliveries import PlannedDelivery
from shared.domain.ids import EventId, event_id_at
from shared.store.events import Plan
from tests.e2e.processes import Json, Stack

EVERY = timedelta(seconds=10)
API_PATIENCE = aiohttp.ClientTimeout(total=5)
DUE_IN = timedelta(seconds=3)

EVENTS = "COPY events (id, name, webhook_url, created_by, likeness) FROM STDIN"
VERSIONS = "COPY event_versions (event_id, version, content, change, changed_by) FROM STDIN"
DELIVERIES = """
    COPY deliveries (occurrence_id, event_id, event_version, next_at, due_at, scheduled_at, epoch, chained,
                     recurrence_id, destination) FROM STDIN
"""


class Ahead(msgspec.Struct, frozen=True):
    """An event that is stored ahead, its first delivery, and all of its occurrences."""

    content: Content
    first: PlannedDelivery
    due: dict[str, float]


def ahead(content: Content, now: datetime) -> Ahead:
    """Return a new event with all that it will come to."""
    planned = planned_of(Plan(event_id_at(now), 1, content.webhook_url, content.timing, content.misfire))
    return Ahead(content, planned[0], due_of(planned))


def planned_of(plan: Plan) -> list[PlannedDelivery]:
    """Return all that a timing comes to."""
    return [planning.planned(plan, each) for each in planning.series_of(plan).occurrences()]


def due_of(planned: Sequence[PlannedDelivery]) -> dict[str, float]:
    """Return when each occurrence is due."""
    return {str(each.occurrence_id): each.scheduled_at.timestamp() for each in planned}


def timing_at(at: datetime, schedule: str | None = None) -> Timing:
    """Return a timing in UTC that begins at an instant."""
    return Timing(start_at=at, start_local=at.replace(tzinfo=None), schedule=schedule)


def once(begin: datetime, *, rate: float, seconds: float, url: str) -> Iterator[Content]:
    """Yield one-time events, spread evenly."""
    for number in range(round(rate * seconds)):
        at = begin + timedelta(seconds=number / rate)
        yield Content(
            name=f"once {number}",
            timing=timing_at(at),
            webhook_url=f"{url}/once",
        )


def recurring(begin: datetime, *, events: int, seconds: float, url: str) -> Iterator[Content]:
    """Yield events that come every ten seconds until the load ends, each at a second of its own."""
    until = begin + timedelta(seconds=seconds)
    for number in range(events):
        at = begin + timedelta(seconds=number % EVERY.seconds)
        yield Content(
            name=f"recurring {number}",
            timing=timing_at(at, f"FREQ=SECONDLY;INTERVAL={EVERY.seconds};UNTIL={until:%Y%m%dT%H%M%SZ}"),
            misfire=Misfire(policy="all"),
            webhook_url=f"{url}/recurring",
        )


def store(database_url: str, events: list[Ahead]) -> None:
    """Write all of them in one transaction."""
    with psycopg.connect(database_url) as conn, conn.cursor() as cursor:
        with cursor.copy(EVENTS) as copy:
            for number, event in enumerate(events):
                copy.write_row((event.first.event_id, event.content.name, event.content.webhook_url, "chaos", number))
        with cursor.copy(VERSIONS) as copy:
            for event in events:
                content = sql_json.Json(event.content, dumps=msgspec.json.encode)
                copy.write_row((event.first.event_id, 1, content, "created", "chaos"))
        with cursor.copy(DELIVERIES) as copy:
            for event in events:
                first, at = event.first, event.first.scheduled_at
                epoch = epochs.epoch_before_first_claim(1)
                row = (first.occurrence_id, first.event_id, 1, at, at, at, epoch)
                copy.write_row((*row, first.chained, first.recurrence_id, first.destination))
        conn.execute("ANALYZE events, event_versions, deliveries")


class ApiStream:
    """Creates events through the API at a constant rate, whatever it answers."""

    def __init__(self, stack: Stack, url: str) -> None:
        self.due: dict[str, float] = {}
        """What the API has promised."""
        self.answers: Counter[str] = Counter()
        self._stack = stack
        self._url = url

    @property
    def unanswered(self) -> int:
        """How many requests got no promise; each may have made an event nevertheless."""
        return self.answers.total() - self.answers["201"]

    async def run(self, *, rate: float, seconds: float) -> None:
        """Return when all requests have ended."""
        async with asyncio.TaskGroup() as requests:
            for number in range(round(rate * seconds)):
                requests.create_task(self._create(number))
                await asyncio.sleep(1 / rate)

    def _promised(self, event: Json) -> dict[str, float]:
        """Return what an event will come to; `upcoming` is empty where the answer comes after its time."""
        at = datetime.fromisoformat(event["start_time"])
        return due_of(
            planned_of(Plan(EventId(UUID(event["id"])), event["version"], event["webhook_url"], timing_at(at)))
        )

    async def _create(self, number: int) -> None:
        body = {"name": f"api {number}", "in": f"PT{DUE_IN.seconds}S", "webhook_url": f"{self._url}/api"}
        try:
            async with self._stack.request("POST", "/events", json=body, timeout=API_PATIENCE) as answer:
                self.answers[str(answer.status)] += 1
                if answer.status == 201:
                    self.due |= self._promised(await answer.json())
        except (aiohttp.ClientError, TimeoutError) as error:
            self.answers[type(error).__name__] += 1
