"""From the timing fields that a client sent to the timing that is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET

from services.api import checks, instants
from services.api.bodies import StructuredSchedule
from services.api.findings import Findings
from shared import recurrence
from shared.domain import durations
from shared.domain.content import Timing
from shared.errors import InvalidSchedule
from shared.recurrence import Rule, Series

LATEST_PAST = timedelta(seconds=60)
"""A one-time event that was due less long ago is delivered at once."""

_SECOND = timedelta(seconds=1)


def read(found: Findings, *, now: datetime, min_interval: timedelta, before: Timing | None) -> Timing | None:
    """Return the timing that the values describe; None when something in `found` stands in the way.

    `before` is what the event holds until now: a timing that stays as it was is not judged again by the clock.
    """
    series = series_of(found, now=now, min_interval=min_interval, before=before)
    if series is None:
        return None
    timing = Timing(
        start_at=series.start_at,
        start_local=series.start_local,
        timezone=series.zone,
        schedule=series.rule,
        schedule_until=series.effective_until,
        rdates=series.rdates,
        exdates=series.exdates,
        dst_gap=series.dst_gap,
    )
    if timing != before:
        _judge_by_clock(found, series, now=now)
    return timing


def series_of(
    found: Findings, *, now: datetime, min_interval: timedelta, before: Timing | None = None
) -> Series | None:
    """Return the instants that the values describe, whenever they are; None when something stands in the way."""
    zone = _zone(found)
    rule = _rule(found)
    start = _start(found, zone, now=now)
    rdates, exdates = _dates(found, "rdates", zone), _dates(found, "exdates", zone)
    if found.any_of("start_time", "in", "schedule", "rdates", "exdates", "dst_gap", "timezone") or start is None:
        return None
    start_at, start_local = start
    if before and (start_at, zone.key) == (before.start_at, before.timezone):
        start_local = before.start_local
    if rule is not None:
        start_at, start_local = _whole_second(start_at), _whole_second(start_local)
    try:
        return recurrence.series(
            start_at=start_at,
            start_local=start_local,
            zone=zone.key,
            rule=rule,
            rdates=rdates,
            exdates=exdates,
            dst_gap=found.value("dst_gap", "shift"),
            min_interval=min_interval,
        )
    except InvalidSchedule as error:
        found.refuse("/schedule", error)
        return None


def _zone(found: Findings) -> ZoneInfo:
    """Return the zone, or UTC to go on with where the one that was given is bad."""
    try:
        return recurrence.zone_of(found.value("timezone", "UTC"))
    except InvalidSchedule as error:
        found.refuse("/timezone", error)
        return recurrence.zone_of("UTC")


def _rule(found: Findings) -> Rule | None:
    given = found.value("schedule", None)
    try:
        match given:
            case None:
                return None
            case StructuredSchedule():
                return recurrence.rule_from_object(msgspec.to_builtins(given))
            case _:
                return recurrence.parse_rule(given)
    except InvalidSchedule as error:
        found.refuse("/schedule", error)
        return None


def _start(found: Findings, zone: ZoneInfo, *, now: datetime) -> tuple[datetime, datetime] | None:
    """Return the start as an instant and on the zone's wall clock."""
    start_time, after = found.value("start_time", UNSET), found.value("in", UNSET)
    if start_time is not UNSET and after is not UNSET:
        found.add("/in", "Give `start_time` or `in`, not both.", hint="Leave one of them out.")
    elif after is not UNSET:
        problems = list(checks.duration("/in", after, at_least=timedelta(0), at_most=checks.LONGEST_DURATION))
        found.errors.extend(problems)
        if not problems:
            start_at = now + durations.parse(after)
            return start_at, _wall_clock(start_at, zone)
    elif start_time is UNSET:
        if not found.any_of("start_time", "in"):
            found.add("/start_time", "This field is required, unless `in` is given.", example=instants.EXAMPLE)
    else:
        return _instant(found, "/start_time", start_time, zone)
    return None


def _dates(found: Findings, name: str, zone: ZoneInfo) -> tuple[datetime, ...]:
    read_ = (_instant(found, f"/{name}/{index}", text, zone) for index, text in enumerate(found.value(name, [])))
    return tuple(sorted({both[0] for both in read_ if both}))


def _instant(found: Findings, pointer: str, text: str, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
    """Return an instant and its wall clock; a local time that does not exist keeps its own wall clock."""
    try:
        given = instants.parse(text)
        if given.tzinfo is not None:
            return given, _wall_clock(given, zone)
        if found.given("timezone"):
            return given.replace(tzinfo=zone).astimezone(UTC), given
    except (ValueError, OverflowError) as error:
        found.add(pointer, str(error), hint=instants.HINT, example=instants.EXAMPLE)
        return None
    message = "A local time needs a `timezone`."
    found.add(pointer, message, hint="Add `timezone`, or give the instant with an offset.", example=instants.EXAMPLE)
    return None


def _judge_by_clock(found: Findings, series: Series, *, now: datetime) -> None:
    if series.rule is None and not series.rdates:
        if series.start_at < now - LATEST_PAST:
            hint = "Give a time to come, or `in` with a duration."
            found.add("/start_time", "This time has passed.", hint=hint, example=_soon(now))
    elif series.next_after(now) is None:
        hint = "Let it go on: move `start_time`, UNTIL or COUNT, or drop exdates."
        error = InvalidSchedule(
            "No occurrence is left to come.", part="UNTIL", hint=hint, example="FREQ=DAILY", code="no_future_occurrence"
        )
        found.refuse("/schedule", error)


def _wall_clock(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def _whole_second(instant: datetime) -> datetime:
    """Return the instant, or the next whole second: recurrences know no fractions, and nothing is early."""
    return instant if not instant.microsecond else instant.replace(microsecond=0) + _SECOND


def _soon(now: datetime) -> str:
    return (now + timedelta(days=1)).strftime("%Y-%m-%dT%H:00:00Z")
