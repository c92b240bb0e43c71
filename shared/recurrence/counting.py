"""Count the occurrences of a series, once: COUNT becomes an instant, and from then on nobody counts."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice, takewhile

from shared.errors import InvalidSchedule
from shared.recurrence.elapsed import Elapsed
from shared.recurrence.parse import parse_rule
from shared.recurrence.rule import Rule
from shared.recurrence.series import Series
from shared.recurrence.zones import DAY, END, EPOCH_UTC, seconds_of

MOST_COUNTED = 22_000
_LIFETIME = 60 * 365 * DAY
_SOME = 300


def last_counted(series: Series, rule: Rule) -> datetime | None:
    """Return the instant of occurrence number COUNT, skipped gaps and repeated instants not counted; None if never.

    Without BYxxx in elapsed time that is arithmetic. Otherwise they are walked. A COUNT of hundreds that
    lasts for sixty years is no limit; one that goes on after 22 000 within these years is refused.
    """
    if rule.count is None:
        return None
    stepped, first = series.stepped, seconds_of(series.start_at)
    if isinstance(stepped, Elapsed) and stepped.unfiltered:
        last = stepped.nth(rule.count)
        return EPOCH_UTC + timedelta(seconds=last) if last < END else None
    for number, (last, _) in enumerate(series.seconds_from(first), 1):
        if number == rule.count:
            return EPOCH_UTC + timedelta(seconds=last)
        if number >= _SOME and last - first > _LIFETIME:
            return None
        if number == MOST_COUNTED:
            raise InvalidSchedule(
                f"COUNT={rule.count} is more than can be counted",
                part="COUNT",
                hint=f"at most {MOST_COUNTED}; leave it out, or give UNTIL",
                example=f"FREQ={rule.freq.name};COUNT={MOST_COUNTED}",
            )
    return None


def total(series: Series) -> int | None:
    """Return how many occurrences a series has; None where there is no end, or too many to count."""
    counted = _of_rule(series)
    if counted is None:
        return None
    excluded = set(series.exdates)
    left_out = sum(series.has(at) for at in excluded)
    added = sum(not series.has(at) for at in set(series.rdates) - excluded)
    return counted - left_out + added


def _of_rule(series: Series) -> int | None:
    if series.rule is None:
        return sum(1 for _ in series.rule_moments())
    until = series.effective_until or parse_rule(series.rule).until
    if until is None:
        return None
    stepped, first, last = series.stepped, seconds_of(series.start_at), seconds_of(until)
    if isinstance(stepped, Elapsed) and stepped.unfiltered:
        return stepped.number_by(last)
    walked = takewhile(lambda pair: pair[0] <= last, series.seconds_from(first))
    number = sum(1 for _ in islice(walked, MOST_COUNTED + 1))
    return number if number <= MOST_COUNTED else None
