"""Make series and read them in the shortest words: local starts as text, instants as text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from shared import recurrence
from shared.recurrence import Occurrence, Series
from shared.recurrence.series import DstGap
from shared.recurrence.zones import instant_of, zone_of


def series_of(
    rule: str | None,
    start: str,
    zone: str = "UTC",
    *,
    rdates: Sequence[str] = (),
    exdates: Sequence[str] = (),
    dst_gap: DstGap = "shift",
    min_interval: timedelta = timedelta(),
) -> Series:
    """Return a checked series; texts without an offset are local."""
    given = datetime.fromisoformat(start)
    at = instant_of(given, zone)
    local = given if given.tzinfo is None else at.astimezone(zone_of(zone)).replace(tzinfo=None, fold=0)
    return recurrence.series(
        start_at=at,
        start_local=local,
        zone=zone,
        rule=None if rule is None else recurrence.parse_rule(rule),
        rdates=tuple(instant_of(datetime.fromisoformat(text), zone) for text in rdates),
        exdates=tuple(instant_of(datetime.fromisoformat(text), zone) for text in exdates),
        dst_gap=dst_gap,
        min_interval=min_interval,
    )


def first(series: Series, number: int) -> list[Occurrence]:
    return list(islice(series.occurrences(), number))


def instants(series: Series, number: int) -> list[str]:
    return [text(occurrence.scheduled_at) for occurrence in first(series, number)]


def locals_(series: Series, number: int) -> list[str]:
    return [f"{occurrence.local:%Y-%m-%d %H:%M}" for occurrence in first(series, number)]


def utc(moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone(UTC)


def text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
