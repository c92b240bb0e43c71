"""Every example of a request that the OpenAPI document shows passes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.api import contract
from tests.integration.api.client import Api

EXAMPLES = [
    pytest.param(method, path, example["value"], id=f"{method} {path}: {name}")
    for path, operations in contract.DOCUMENT["paths"].items()
    for method, operation in operations.items()
    for content in operation.get("requestBody", {"content": {}})["content"].values()
    for name, example in content["examples"].items()
]
TAKING_NO_BODY = [
    pytest.param(path, id=path)
    for path, operations in contract.DOCUMENT["paths"].items()
    if not operations.get("post", {}).get("requestBody", {"required": True})["required"]
]


async def with_ids(api: Api, path: str) -> str:
    event = await api.create(start_time="2027-03-22T09:00:00", timezone="Europe/Berlin", schedule="FREQ=DAILY")
    return path.format(event_id=event["id"], recurrence_id=event["upcoming"][0]["recurrence_id"])


@pytest.mark.parametrize(("method", "path", "body"), EXAMPLES)
async def test_an_example_of_a_request_passes(api: Api, method: str, path: str, body: dict[str, Any]) -> None:
    answer = await api.http.request(method, await with_ids(api, path), json=body)

    assert answer.is_success, answer.text


@pytest.mark.parametrize("path", TAKING_NO_BODY)
async def test_a_request_whose_fields_may_all_be_left_out_needs_no_body(api: Api, path: str) -> None:
    answer = await api.http.post(await with_ids(api, path))

    assert answer.is_success, answer.text


def test_there_are_examples_of_all_kinds() -> None:
    assert len(EXAMPLES) > 20
    assert {str(param.values[0]) for param in TAKING_NO_BODY} == {
        "/events/{event_id}/trigger",
        "/events/{event_id}/pause",
        "/events/{event_id}/resume",
        "/events/{event_id}/secret/rotate",
    }
