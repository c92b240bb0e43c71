"""Turn what was asked for into a series, or say why it cannot be honoured.

Whatever passes here can be rebuilt from its columns without another look, and always has an occurrence to give.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile

import msgspec

from shared.errors import InvalidSchedule
from shared.recurrence.counting import LIFETIME, last_counted
from shared.recurrence.rule import Rule, until_text
from shared.recurrence.series import DstGap, Series
from shared.recurrence.zones import BEGIN, END, FIRST_YEAR, LAST_YEAR, seconds_of, zone_of

_SAMPLE = 300
_MOST_DATES = 1_000
_INSTANT = "2030-01-01T09:00:00Z"


def series(  # noqa: PLR0913 - the columns of a series, and the limit
    *,
    start_at: datetime,
    start_local: datetime,
    zone: str = "UTC",
    rule: Rule | None = None,
    rdates: tuple[datetime, ...] = (),
    exdates: tuple[datetime, ...] = (),
    dst_gap: DstGap = "shift",
    min_interval: timedelta = timedelta(),
) -> Series:
    """Return the checked series of a start, its COUNT resolved to an instant. With a rule the start is a whole second.

    Raises InvalidSchedule: with the code `empty_recurrence` when the rule by itself yields nothing, with
    `interval_too_short` when two of its occurrences are closer than `min_interval` (see `_check_interval`).
    """
    zone_of(zone)
    _check_years("start_time", (start_at,))
    _check_years("rdates", rdates)
    _check_years("exdates", exdates)
    made = Series(
        start_at=start_at.astimezone(UTC),
        start_local=start_local,
        zone=zone,
        rule=None if rule is None else str(rule),
        rdates=rdates,
        exdates=exdates,
        dst_gap=dst_gap,
    )
    if next(made.rule_moments(), None) is None:
        raise _empty(made, rule)
    if rule is not None:
        made = msgspec.structs.replace(made, effective_until=last_counted(made, rule))
        _check_interval(made, min_interval)
    return made


def _check_years(part: str, instants: tuple[datetime, ...]) -> None:
    """Refuse instants that cannot be told in every zone, and lists too long to look through."""
    if len(instants) > _MOST_DATES:
        raise InvalidSchedule(
            f"{len(instants)} {part} are too many",
            part=part,
            hint=f"at most {_MOST_DATES}; say with a rule what repeats",
            example=_INSTANT,
        )
    for instant in instants:
        if not BEGIN <= seconds_of(instant) < END:
            raise InvalidSchedule(
                f"the year {instant.year} is out of range",
                part=part,
                hint=f"a year from {FIRST_YEAR} to {LAST_YEAR}",
                example=_INSTANT,
            )


def _empty(made: Series, rule: Rule | None) -> InvalidSchedule:
    if rule is not None and rule.until is not None and rule.until < made.start_at:
        return InvalidSchedule(
            f"UNTIL={until_text(rule.until)} is before the start, {until_text(made.start_at)}",
            part="UNTIL",
            hint="let UNTIL be at or after the start",
            example=f"FREQ={rule.freq.name};UNTIL={until_text(made.start_at)}",
            code="empty_recurrence",
        )
    if rule is None:
        return InvalidSchedule(
            f"the clock of {made.zone} never shows {made.start_local.isoformat()}, and dst_gap is skip",
            part="start_time",
            hint="choose another time, or dst_gap shift",
            example=made.start_at.isoformat(),
            code="empty_recurrence",
        )
    return InvalidSchedule(
        f"no time from the start on ever matches {rule}",
        part="FREQ",
        hint="its parts, or the start and INTERVAL, exclude each other, as 30 February would; leave one of them out",
        example=f"FREQ={rule.freq.name}",
        code="empty_recurrence",
    )


def _check_interval(made: Series, least: timedelta) -> None:
    """Refuse a rule with two occurrences closer than `least`; RDATEs do not count.

    What passes by its times of day or its step has no two that close, whatever its days. Otherwise the first 300
    distances of sixty years decide. That a clock change brings two occurrences closer is not held against a rule.
    """
    seconds = least.total_seconds()
    if made.stepped.closest >= seconds:
        return
    near = takewhile(lambda moment: moment.at < made.start_at + LIFETIME, made.rule_moments())
    for before, after in pairwise(islice(near, _SAMPLE)):
        if (distance := after.at - before.at) < least and _on_one_clock(before.local, after.local, distance):
            raise InvalidSchedule(
                f"occurrences come {distance.total_seconds():g} s apart, at {before.local.isoformat()} for one",
                part="FREQ",
                hint=f"at least {seconds:g} s apart; choose a coarser FREQ, a larger INTERVAL, or fewer BYxxx times",
                example=f"FREQ=MINUTELY;INTERVAL={max(1, -int(-seconds // 60))}",
                code="interval_too_short",
            )


def _on_one_clock(before: datetime, after: datetime, distance: timedelta) -> bool:
    return after - before == distance
