"""Say what a caller may not have meant: never wrong enough to refuse, too easily missed to keep quiet about."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC

from shared.recurrence.parse import parse_rule
from shared.recurrence.rule import Freq, Rule
from shared.recurrence.series import Series


def warnings(series: Series) -> list[str]:
    """Return one sentence for each thing to look at twice."""
    rule = parse_rule(series.rule) if series.rule else None
    return [*(_of_rule(series, rule) if rule else ()), *_of_dates(series)]


def _of_rule(series: Series, rule: Rule) -> Iterator[str]:
    if not series.starts_on_rule:
        first = next(series.occurrences(), None)
        instead = f"; the first occurrence is {first.local.isoformat()}" if first else ""
        yield f"the start {series.start_local.isoformat()} does not match the rule and is left out{instead}"
    if rule.freq is Freq.YEARLY and rule.by_month_day and not (rule.by_month or rule.by_year_day or rule.by_week_no):
        yield (
            f"BYMONTHDAY without BYMONTH stays in the start's month ({series.start_local:%B}); "
            "for every month use FREQ=MONTHLY"
        )
    for day in _lacking(rule, series.start_local.day):
        yield f"months without a day {day} have no occurrence; the last day of every month is BYMONTHDAY=-1"


def _lacking(rule: Rule, start_day: int) -> Iterator[int]:
    """Yield the month days of a monthly rule that some months lack."""
    if rule.freq is Freq.MONTHLY and not rule.by_day and not rule.by_month:
        days = rule.by_month_day or (start_day,)
        # 28 to 31 together with BYSETPOS is how a rule says "the last day at most the 31st".
        if not rule.by_set_pos:
            yield from (day for day in days if day > 28)


def _of_dates(series: Series) -> Iterator[str]:
    if series.exdates:
        matching = {*series.rdates, *series.given_by_rule(series.exdates)}
        for at in series.exdates:
            if at not in matching:
                yield f"exdate {at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} matches no occurrence"
    if series.rule is None and series.starts_in_gap:
        yield f"the clock never shows {series.start_local.isoformat()}: it is read by the offset before the gap"
    if series.exdates and next(series.occurrences(), None) is None:
        yield "the exdates leave no occurrence"
