"""The example that an error gives passes in the place that it is given for."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.integration.api.client import Api

EVENT: dict[str, Any] = {
    "name": "Water the plants",
    "start_time": "2027-03-20T09:00:00Z",
    "webhook_url": "https://example.com/webhook",
    "schedule": {"frequency": "daily"},
    "tags": ["a"],
    "rdates": [],
    "exdates": [],
    "headers": {"x-team": "billing"},
    "retry": {"delays": ["PT5S"]},
}


def put(document: Any, pointer: str, value: object) -> dict[str, Any]:
    """Return a copy of the document with a value in the place of a pointer."""
    changed = copy.deepcopy(document)
    *way, last = pointer.removeprefix("/").split("/")
    inside = changed
    for step in way:
        inside = inside[int(step) if isinstance(inside, list) else step]
    inside[int(last) if isinstance(inside, list) else last] = value
    return changed


@pytest.mark.parametrize(
    ("pointer", "bad"),
    [
        ("/name", 1),
        ("/start_time", "soon"),
        ("/start_time", 5),
        ("/start_time", "2027-03-20T09:00:00+99:99"),
        ("/timezone", "Mars/Olympus"),
        ("/schedule", "FREQ=WEEKLY;BYDAY=XX"),
        ("/schedule/frequency", "fortnightly"),
        ("/schedule/by_day", "MO"),
        ("/schedule", {"frequency": "daily", "by_day": [""]}),
        ("/schedule", {"frequency": "daily", "until": ""}),
        ("/rdates", "2027-03-20T09:00:00Z"),
        ("/exdates", 1),
        ("/rdates", ["soon"]),
        ("/webhook_url", "ftp://example.com"),
        ("/method", "GET"),
        ("/headers/x-team", 5),
        ("/timeout", "soon"),
        ("/timeout", 15),
        ("/timeout", "PT1H"),
        ("/retry/delays/0", 5),
        ("/retry/delays/0", "soon"),
        ("/retry/max_attempts", 0),
        ("/expires_after", "soon"),
        ("/misfire", "all"),
        ("/overlap", "never"),
        ("/hmac_secret", "short"),
        ("/tags", "a"),
        ("/tags/0", 5),
        ("/tags/0", "a b"),
    ],
)
async def test_the_example_passes_where_the_value_did_not(api: Api, pointer: str, bad: object) -> None:
    answer = await api.http.post("/events", json=put(EVENT, pointer, bad))

    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert error["pointer"].startswith(pointer)
    corrected = put(put(EVENT, pointer, bad), error["pointer"], error["example"])
    again = await api.http.post("/events", json=corrected)
    assert again.status_code == 201, (error, again.text)


async def test_an_unknown_parameter_is_refused_and_the_known_ones_are_named(api: Api) -> None:
    answer = await api.http.get("/events", params={"tag": "a", "limit": "5"})

    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["pointer"], error["message"]) == ("tag", "This parameter is unknown.")
    assert "tags" in error["hint"]
