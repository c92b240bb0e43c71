"""Traces, for whoever has a collector: one for each occurrence, from the call or the claim to its attempts.

Nothing is stored for them and no message grows: a trace has the occurrence's id, and the ids of the spans that have
children follow from it. Whoever knows a claim knows its span. Where no collector is set, all of this does nothing.

To export them takes the extra `traces` (OpenTelemetry).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from random import getrandbits
from typing import TYPE_CHECKING

import msgspec

from shared.domain.ids import OccurrenceId
from shared.errors import QhronosError

if TYPE_CHECKING:
    from shared.otlp import Exporter

Attributes = Mapping[str, str | int | float | bool]

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1


class TracesUnavailable(QhronosError):
    """A collector is set, and the packages that it takes are not installed."""


class Kind(StrEnum):
    """What part in an exchange a span has."""

    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    INTERNAL = "INTERNAL"


class Place(msgspec.Struct, frozen=True):
    """A span, as others refer to it."""

    trace_id: int
    span_id: int

    def header(self, *, sampled: bool) -> str:
        """Return it as a `traceparent` (W3C Trace Context, level 1)."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{int(sampled):02x}"


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Something that took a while."""

    name: str
    kind: Kind
    place: Place
    parent: Place | None = None
    links: tuple[Place, ...] = ()
    begun_at: datetime
    ended_at: datetime
    attributes: Attributes = {}
    error: str | None = None


CURRENT: ContextVar[Place | None] = ContextVar("current_span", default=None)
"""The request that is being served."""


def read_traceparent(header: str | None) -> Place | None:
    """Return where a request comes from; None when its header does not say, or nobody watches there."""
    found = _TRACEPARENT.fullmatch(header or "")
    if found is None or found[1] == "0" * 32 or found[2] == "0" * 16 or not int(found[3], 16) & _SAMPLED:
        return None
    return Place(int(found[1], 16), int(found[2], 16))


def place_of_request(parent: Place | None) -> Place:
    """Return a new span of the caller's trace, or of a new one."""
    return Place(parent.trace_id if parent else _random(128), _random(64))


def place_of_plan(occurrence_id: OccurrenceId) -> Place:
    """Return the span that planned what is not part of a recurrence: the first of its trace."""
    return Place(occurrence_id.int, _derived(occurrence_id, b"plan"))


def place_of_claim(occurrence_id: OccurrenceId, epoch: int) -> Place:
    """Return the span of a claim."""
    return Place(occurrence_id.int, _derived(occurrence_id, epoch.to_bytes(8, "big")))


def place_of_attempt(occurrence_id: OccurrenceId) -> Place:
    """Return a new span for an attempt."""
    return Place(occurrence_id.int, _random(64))


def _derived(occurrence_id: OccurrenceId, what: bytes) -> int:
    digest = blake2b(occurrence_id.bytes + what, digest_size=8).digest()
    return int.from_bytes(digest, "big") or 1


def _random(bits: int) -> int:
    return getrandbits(bits) or 1


class _Wanted:
    """What this process exports, and where to."""

    exporter: Exporter | None = None
    share: float = 1.0


def configure(service: str, collector: str | None, share: float) -> None:
    """Export a share of all traces, 0 to 1, to a collector that takes OTLP over HTTP, from now on.

    TracesUnavailable when OpenTelemetry is not installed.
    """
    if collector is None:
        return
    try:
        from shared import otlp  # noqa: PLC0415 - its packages are optional
    except ImportError as error:
        raise TracesUnavailable(
            f"QHRONOS_TRACES_URL is set, but {error.name} is not installed: "
            "pip install --requirement deploy/requirements/traces.txt, or unset it"
        ) from None
    _Wanted.exporter, _Wanted.share = otlp.Exporter(service, collector), share


def is_on() -> bool:
    """Tell whether anybody wants traces."""
    return _Wanted.exporter is not None


def is_sampled(trace_id: int) -> bool:
    """Tell whether a trace belongs to the share that is kept: all processes say the same.

    Without a collector of ours, all of them are: whoever is called decides for itself.
    """
    return trace_id % 2**64 < _Wanted.share * 2**64


def tell(span: Span) -> None:
    """Export a span, if anybody wants it."""
    if _Wanted.exporter is not None and is_sampled(span.place.trace_id):
        _Wanted.exporter.take(span)
