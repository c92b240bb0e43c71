"""An event that comes daily, changes to its single occurrences, and what waits after them."""

from __future__ import annotations

from tests.integration.api.client import Api, Json

START = "2027-03-22T09:00:00Z"
FIRST, SECOND_ONE, THIRD, FOURTH = (f"2027-03-{day}T09:00:00" for day in (22, 23, 24, 25))
ELSEWHERE = "https://elsewhere.example/hook"


async def daily(api: Api, **fields: object) -> Json:
    return await api.create(**{"start_time": START, "schedule": "FREQ=DAILY", "metadata": {"a": 1, "b": 1}, **fields})


async def override(api: Api, event: Json, recurrence_id: str, **change: object) -> Json:
    answer = await api.http.put(f"/events/{event['id']}/overrides/{recurrence_id}", json=change)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def restore(api: Api, event: Json, recurrence_id: str) -> None:
    answer = await api.http.delete(f"/events/{event['id']}/overrides/{recurrence_id}")
    assert answer.status_code == 204, answer.text


async def waiting(api: Api, event: Json) -> dict[str, str]:
    """Return the times of the deliveries that wait, by recurrence_id, and make sure that they are what is shown."""
    found = [each for each in await api.occurrences_of(event) if each["status"] == "scheduled"]
    shown = (await api.read(f"/events/{event['id']}/upcoming", limit=1000))["data"]
    times = {each["occurrence_id"]: each["scheduled_at"] for each in shown}
    for each in found:
        assert times[each["id"]] == each["scheduled_at"]
    read = await api.read(f"/events/{event['id']}")
    assert read["next_at"] == (min(each["scheduled_at"] for each in found) if found else None)
    return {each["recurrence_id"]: each["scheduled_at"] for each in found}
