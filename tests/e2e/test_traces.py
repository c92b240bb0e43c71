"""One trace tells a delivery's whole story: the call that planned it, its claims, its attempts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e.processes import Stack
from tests.integration.waiting import until
from tests.receiver import Answer, Receiver, Request

PATIENCE = 40.0
CALLERS_TRACE, CALLERS_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@dataclass
class Seen:
    """A span, as the collector got it."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    links: list[str]
    attributes: set[str]
    failed: bool


def spans_in(requests: list[Request]) -> list[Seen]:
    return [span for request in requests if request.path == "/v1/traces" for span in exported(request.body)]


def exported(body: bytes) -> Iterator[Seen]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        [service] = [a.value.string_value for a in resource.resource.attributes if a.key == "service.name"]
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            yield Seen(
                service=service,
                name=span.name,
                trace=span.trace_id.hex(),
                id=span.span_id.hex(),
                parent=span.parent_span_id.hex(),
                links=[link.span_id.hex() for link in span.links],
                attributes={attribute.key for attribute in span.attributes},
                failed=span.status.code == 2,
            )


async def test_a_delivery_is_one_trace_from_the_call_to_the_receiver(stack: Stack, receiver: Receiver) -> None:
    stack.settings["QHRONOS_TRACES_URL"] = receiver.url("").removesuffix("/")
    await stack.start("api", "scheduler", "dispatcher")
    answers = iter([500, 200])
    receiver.answer_with(lambda request: Answer(status=next(answers) if request.path == "/hook" else 200))
    body = {"name": "x", "in": "PT0.1S", "webhook_url": receiver.url("/hook"), "retry": {"delays": ["PT0.5S"]}}
    headers = {"traceparent": f"00-{CALLERS_TRACE}-{CALLERS_SPAN}-01"}
    async with stack.request("POST", "/events", json=body, headers=headers) as answer:
        assert answer.status == 201, await answer.text()

    async def all_told() -> bool:
        names = Counter(span.name for span in spans_in(receiver.requests))
        return names["delivery.attempted"] == names["delivery.claimed"] == 2 and names["POST /events"] == 1

    await until(all_told, within=PATIENCE)

    spans = spans_in(receiver.requests)
    first, second = (request for request in receiver.requests if request.path == "/hook")
    trace = first.headers["webhook-id"].replace("-", "")
    [call] = [span for span in spans if span.name == "POST /events"]
    [planned] = [span for span in spans if span.name == "delivery.planned"]
    claims = [span for span in spans if span.name == "delivery.claimed"]
    attempts = [span for span in spans if span.name == "delivery.attempted"]
    assert (call.trace, call.parent) == (CALLERS_TRACE, CALLERS_SPAN)
    assert (planned.trace, planned.parent, planned.links) == (trace, "", [call.id])
    assert {(claim.service, claim.trace, claim.parent) for claim in claims} == {
        ("qhronos-scheduler", trace, planned.id)
    }
    assert [(attempt.service, attempt.trace) for attempt in attempts] == 2 * [("qhronos-dispatcher", trace)]
    assert {attempt.parent for attempt in attempts} == {claim.id for claim in claims}
    assert {attempt.id: attempt.failed for attempt in attempts} == {
        span_in(first): True,
        span_in(second): False,
    }
    assert {"qhronos.event_id", "http.response.status_code", "qhronos.request_id"} <= attempts[0].attributes


def span_in(request: Request) -> str:
    """Return the span that the receiver is told to be called by."""
    version, _, span, flags = request.headers["traceparent"].split("-")
    assert (version, flags) == ("00", "01")
    return span
