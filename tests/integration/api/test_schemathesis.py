"""What the OpenAPI document says holds for whatever is made from it: good data, bad data, with and without a token.

`QHRONOS_API_EXAMPLES` is how many requests each operation gets: few by default and always the same ones; thousands,
and others every time, by hand.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection
from typing import Any, cast

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi import checks

from tests.integration.api import contract
from tests.integration.api.client import Api

BY_HAND = os.environ.get("QHRONOS_API_EXAMPLES")
EXAMPLES = int(BY_HAND or 20)
URL = "http://api.test"
MASTER, OUTSIDER, NOBODY = "master", "outsider", "nobody"

Json = dict[str, Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]

callers = st.sampled_from([*[MASTER] * 6, OUTSIDER, NOBODY])
many = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=BY_HAND is None,
    database=None,
    phases=[Phase.generate],  # to shrink a failure would take longer than a test may
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def operations() -> dict[str, Any]:
    """Return the operations by name, without their security: which token is sent is for the test to say."""
    paths: Json = {
        path: {method: {**operation, "security": []} for method, operation in methods.items()}
        for path, methods in contract.DOCUMENT["paths"].items()
    }
    schema: Any = schemathesis.openapi.from_dict({**contract.DOCUMENT, "paths": paths})
    return {found.ok().label: found.ok() for found in schema.get_all_operations()}


OPERATIONS = operations()
CHECKED: list[Any] = [
    getattr(checks, name)
    for name in (
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
    )
]
"""A 500 is a status that the document does not tell of."""


class Site:
    """An API with something of everything in it, and those who ask it."""

    def __init__(self, api: Api, outsider: Api) -> None:
        self._api = api
        self._callers = {MASTER: api, OUTSIDER: outsider, NOBODY: api.bearing(None)}
        self.seen: Counter[int] = Counter()

    async def ids(self, names: Collection[str], *, finished: bool) -> Json:
        """Return what stands in paths: of an event, its next occurrence and a token, all of them new."""
        if "token_id" in names:
            return {"token_id": (await self._api.token("read", "a"))["id"]}
        event = await self._api.create(schedule="FREQ=DAILY", start_time="2027-03-20T09:00:00Z")
        coming = event["upcoming"][0]
        if finished:
            await self._api.http.post(f"/occurrences/{coming['occurrence_id']}/cancel")
        return {
            "event_id": event["id"],
            "occurrence_id": coming["occurrence_id"],
            "recurrence_id": coming["recurrence_id"],
            "version": 1,
        }

    async def send(self, case: Any, caller: str) -> httpx.Response:
        """Send what was made, as one of the callers."""
        made: Any = requests.Request(**case.as_transport_kwargs(base_url=URL)).prepare()
        headers = {name: value for name, value in made.headers.items() if name.lower() != "authorization"}
        http = self._callers[caller].http
        try:
            answer = await http.request(made.method, made.url, content=made.body, headers=headers)
        except httpx.InvalidURL:  # longer than what this client sends
            reject()
        self.seen[answer.status_code] += 1
        return answer


@pytest.fixture
async def site(api: Api, request: pytest.FixtureRequest) -> AsyncGenerator[Site]:
    site = Site(api, await api.limited_to("read", "nothing:*"))
    yield site
    print(request.node.name, dict(sorted(site.seen.items())))  # noqa: T201 - shown with -s, and where it fails
    assert site.seen.keys() - {401, 403, 404}, "nobody got as far as to what the operation does"


@pytest.mark.timeout(120 if BY_HAND is None else 3600)
@pytest.mark.parametrize("label", OPERATIONS)
@many
@given(data=st.data())
async def test_an_operation_answers_only_what_the_document_tells_of(
    site: Site, label: str, data: st.DataObject
) -> None:
    operation = OPERATIONS[label]
    examples = body_examples(label)
    finished = [True, True, False] if label.endswith("/replay") else [False, False, True]
    takes_data = operation.path_parameters or operation.query or operation.body
    modes = [GenerationMode.POSITIVE, GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if takes_data else [])]
    mode = data.draw(st.sampled_from(modes))
    case = data.draw(operation.as_strategy(generation_mode=mode))
    if case.path_parameters and not is_bad(case, ParameterLocation.PATH) and data.draw(st.integers(0, 7)):
        real = await site.ids(case.path_parameters, finished=data.draw(st.sampled_from(finished)))
        case.path_parameters = {name: real[name] for name in case.path_parameters}
    if examples and mode is GenerationMode.POSITIVE and isinstance(case.body, dict):
        case.body = blended(data.draw, data.draw(st.sampled_from(examples)), cast("Json", case.body))

    answer = await site.send(case, data.draw(callers))

    # A failed precondition is found out before anybody looks at the body.
    case.validate_response(answer, checks=CHECKED[:-1] if answer.status_code == 412 else CHECKED)


def is_bad(case: Any, location: ParameterLocation) -> bool:
    """Tell whether this part of a request was made to be wrong."""
    part = case.meta.components.get(location)
    return part is not None and part.mode is GenerationMode.NEGATIVE


def body_examples(label: str) -> list[Json]:
    """Return the bodies that the document shows for an operation."""
    method, path = label.split(" ", 1)
    body = contract.DOCUMENT["paths"][path][method.lower()].get("requestBody", {"content": {}})
    return [example["value"] for content in body["content"].values() for example in content["examples"].values()]


def blended(draw: Draw, example: Json, made: Json) -> Json:
    """Return a body of an example's fields and some of those that were made: more of it passes than of either."""
    kept = draw(st.sets(st.sampled_from(sorted(made)), max_size=2)) if made else set[str]()
    return {**example, **{name: made[name] for name in kept}}
