"""Hand spans to OpenTelemetry, which sends them to a collector in batches, from a thread of its own.

A collector that does not keep up, or is away, costs spans and nothing else.
"""

from __future__ import annotations

import atexit
from datetime import UTC, datetime, timedelta

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from shared.tracing import Place, Span
from shared.version import VERSION

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Exporter:
    """Sends spans of one process to a collector."""

    def __init__(self, service: str, collector: str) -> None:
        self._resource = Resource.create({SERVICE_NAME: f"qhronos-{service}", SERVICE_VERSION: VERSION})
        self._processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{collector.rstrip('/')}/v1/traces"))
        atexit.register(self._processor.shutdown)

    def take(self, span: Span) -> None:
        """Send a span soon."""
        self._processor.on_end(
            ReadableSpan(
                name=span.name,
                context=_context(span.place),
                parent=_context(span.parent) if span.parent else None,
                resource=self._resource,
                attributes=dict(span.attributes),
                links=[Link(_context(place)) for place in span.links],
                kind=SpanKind[span.kind],
                status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
                start_time=_nanoseconds(span.begun_at),
                end_time=_nanoseconds(span.ended_at),
            )
        )


def _context(place: Place) -> SpanContext:
    return SpanContext(place.trace_id, place.span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _nanoseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND * 1000
