"""An attempt as a span, the child of the claim that it was made on."""

from __future__ import annotations

from datetime import timedelta

from services.dispatcher.request import WebhookRequest
from shared import tracing
from shared.domain.attempts import Attempt, Outcome
from shared.domain.deliveries import DueDelivery
from shared.domain.destinations import origin_of
from shared.tracing import Kind, Span


def of_attempt(request: WebhookRequest, due: DueDelivery, attempt: Attempt) -> Span:
    """Return what the receiver's own spans are children of, if it goes by `traceparent`."""
    attributes = {
        "http.request.method": request.method,
        "http.response.status_code": attempt.status_code,
        "server.address": origin_of(request.url),
        "qhronos.event_id": str(due.event_id),
        "qhronos.occurrence_id": str(due.occurrence_id),
        "qhronos.attempt": attempt.number,
        "qhronos.outcome": attempt.outcome.value,
        "qhronos.request_id": due.request_id,
    }
    return Span(
        name="delivery.attempted",
        kind=Kind.CLIENT,
        place=request.place,
        parent=tracing.place_of_claim(due.occurrence_id, due.epoch),
        begun_at=attempt.started_at,
        ended_at=attempt.started_at + timedelta(milliseconds=attempt.duration_ms),
        attributes={name: value for name, value in attributes.items() if value is not None},
        error=None if attempt.outcome is Outcome.DELIVERED else attempt.error or attempt.outcome.value,
    )
