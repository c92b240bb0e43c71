"""From an HTTP call to a webhook, by real processes: on time, signed, retried, recorded."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from signal import SIGTERM

import psycopg
import pytest
from standardwebhooks import Webhook

from tests.e2e.processes import Process, Stack
from tests.patience import PATIENCE
from tests.receiver import Answer, Receiver, Request

DEFAULT_SECRET = "qhronos.io"
OWN_KEY = b"0123456789abcdef01234567"
OWN_SECRET = "whsec_" + base64.b64encode(OWN_KEY).decode()
HERD = 2000
HERD_IN = timedelta(seconds=4)


def at_of(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def instant(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("secret", "key"), [(None, DEFAULT_SECRET.encode()), (OWN_SECRET, OWN_KEY)], ids=["default", "own"]
)
async def test_a_delivery_is_on_time_and_signed_twice_and_recorded(
    stack: Stack, receiver: Receiver, secret: str | None, key: bytes
) -> None:
    await stack.start("api", "scheduler", "dispatcher")
    receiver.answer(202, headers={"x-answer": "yes"}, body=b"thank you")

    event = await stack.create(
        in_="PT2S",
        webhook_url=receiver.url("/hook?a=1"),
        headers={"x-team": "garden"},
        metadata={"room": 4},
        tags=["plants"],
        **({"hmac_secret": secret} if secret else {}),
    )
    [request] = await receiver.wait_for(1)

    scheduled_at = at_of(event["start_time"])
    assert scheduled_at <= request.at
    Webhook("whsec_" + base64.b64encode(key).decode()).verify(request.body, request.headers)
    assert request.headers["x-qhronos-signature"] == hmac.digest(key, request.body, "sha256").hex()
    assert int(scheduled_at) <= int(request.headers["webhook-timestamp"]) <= request.at
    assert (request.method, request.path) == ("POST", "/hook?a=1")
    expected = {"content-type": "application/json", "x-qhronos-attempt": "1", "x-team": "garden"}
    assert {name: request.headers[name] for name in expected} == expected
    assert request.headers["user-agent"].startswith("Qhronos/")

    occurrence_id = request.headers["webhook-id"]
    assert await stack.occurrence_of(event) == occurrence_id
    occurrence = await stack.occurrence_as(occurrence_id, "delivered")
    body = json.loads(request.body)
    assert 0 <= body["delivery"].pop("late_by_ms") <= (request.at - scheduled_at) * 1000
    assert body == {
        "type": "occurrence.due",
        "event_id": event["id"],
        "occurrence_id": occurrence_id,
        "event_version": 1,
        "name": "Water the plants",
        "description": "",
        "scheduled_at": event["start_time"],
        "recurrence_id": occurrence["recurrence_id"],
        "tags": ["plants"],
        "metadata": {"room": 4},
        "delivery": {"attempt": 1, "max_attempts": 10, "missed_count": 0, "catch_up": False, "replay": False},
    }

    assert (occurrence["attempt_count"], occurrence["next_attempt_at"]) == (1, None)
    assert occurrence["delivered_at"] is not None
    [attempt] = (await stack.read(f"/occurrences/{occurrence_id}/attempts"))["data"]
    assert (attempt["number"], attempt["outcome"], attempt["status_code"]) == (1, "delivered", 202)
    assert attempt["response_body"] == "thank you"
    assert attempt["response_headers"]["x-answer"] == "yes"
    assert attempt["url"] == receiver.url("/hook?a=1")
    assert (await stack.read(f"/events/{event['id']}"))["status"] == "completed"


async def test_a_failed_delivery_is_made_again_with_the_same_id_until_it_succeeds(
    stack: Stack, receiver: Receiver
) -> None:
    await stack.start("api", "scheduler", "dispatcher")
    answers: Iterator[int] = iter([500, 503, 204])
    seen = asyncio.Event()

    async def answer(_: Request) -> Answer:
        status = next(answers)
        if status != 500:
            await seen.wait()
        return Answer(status=status)

    receiver.answer_with(answer)

    event = await stack.create(
        in_="PT0.5S", webhook_url=receiver.url(), timeout="PT60S",
        retry={"max_attempts": 5, "delays": ["PT1S"], "jitter": 0},
    )  # fmt: skip
    occurrence_id = await stack.occurrence_of(event)
    retrying = await stack.occurrence_as(occurrence_id, "retrying")
    seen.set()
    requests = await receiver.wait_for(3)

    assert retrying["attempt_count"] == 1
    assert retrying["next_attempt_at"] is not None
    assert {request.headers["webhook-id"] for request in requests} == {occurrence_id}
    assert [request.headers["x-qhronos-attempt"] for request in requests] == ["1", "2", "3"]
    assert [json.loads(request.body)["delivery"]["attempt"] for request in requests] == [1, 2, 3]
    gaps = [after.at - before.at for before, after in pairwise(requests)]
    assert all(gap >= 1 for gap in gaps), gaps
    occurrence = await stack.occurrence_as(occurrence_id, "delivered")
    assert occurrence["attempt_count"] == 3
    attempts = (await stack.read(f"/occurrences/{occurrence_id}/attempts"))["data"]
    assert [(each["number"], each["outcome"], each["status_code"]) for each in attempts] == [
        (3, "delivered", 204),
        (2, "http_error", 503),
        (1, "http_error", 500),
    ]


async def test_two_thousand_events_of_one_second_all_arrive_once_and_none_early(
    stack: Stack, receiver: Receiver
) -> None:
    processes = await stack.start("api", "scheduler", "dispatcher")
    begin = datetime.now(UTC) + timedelta(hours=1)
    due = [begin + timedelta(microseconds=500 * number) for number in range(HERD)]

    events = await asyncio.gather(
        *(stack.create(start_time=instant(at), webhook_url=receiver.url(), timeout="PT60S") for at in due)
    )
    await bring_forward(stack, to=HERD_IN)
    await receiver.wait_for(HERD, within=2 * PATIENCE)
    await asyncio.gather(*(stack.occurrence_as(id_, "delivered") for id_ in ids_of(receiver.requests[-20:])))
    await stop(processes[1:])

    assert len(receiver.requests) == HERD
    assert set(ids_of(receiver.requests)) == {event["upcoming"][0]["occurrence_id"] for event in events}
    early = [request for request in receiver.requests if request.at < at_of(json.loads(request.body)["scheduled_at"])]
    assert early == []


async def bring_forward(stack: Stack, *, to: timedelta) -> None:
    """Let the first delivery that waits be due so long from now, and the others as far behind it as they were."""
    async with await psycopg.AsyncConnection.connect(stack.database_url, autocommit=True) as conn:
        await conn.execute(
            """
            UPDATE deliveries
               SET next_at = next_at - ahead, due_at = due_at - ahead, scheduled_at = scheduled_at - ahead
              FROM (SELECT min(next_at) - now() - %s AS ahead FROM deliveries) AS first
            """,
            [to],
        )


async def stop(processes: list[Process]) -> None:
    for process in processes:
        process.signal(SIGTERM)
    assert [await process.ended() for process in processes] == [0] * len(processes)


def ids_of(requests: list[Request]) -> list[str]:
    return [request.headers["webhook-id"] for request in requests]
