"""One line tells an attempt's whole story, and leads back to the call that asked for it."""

from __future__ import annotations

import json

from tests.e2e.processes import Json, Process, Stack
from tests.integration.waiting import until
from tests.receiver import Receiver

PATIENCE = 30.0


def attempts_in(process: Process) -> list[Json]:
    logged = [json.loads(line) for line in process.text().splitlines()]
    return [line for line in logged if line["event"] == "attempt.finished"]


async def test_an_attempts_one_line_names_the_request_that_asked_for_it(stack: Stack, receiver: Receiver) -> None:
    [_, _, dispatcher] = await stack.start("api", "scheduler", "dispatcher")
    body = {"name": "Water the plants", "in": "PT0.1S", "webhook_url": receiver.url()}
    async with stack.request("POST", "/events", json=body, headers={"x-request-id": "agent-7"}) as answer:
        event = await answer.json()
    [request] = await receiver.wait_for(1, within=PATIENCE)

    async def logged() -> bool:
        return attempts_in(dispatcher) != []

    await until(logged, within=PATIENCE)

    [line] = attempts_in(dispatcher)
    assert line["request_id"] == "agent-7"
    assert (line["event_id"], line["occurrence_id"]) == (event["id"], request.headers["webhook-id"])
    assert (line["outcome"], line["status_code"], line["delivery"]) == ("delivered", 200, "delivered")
