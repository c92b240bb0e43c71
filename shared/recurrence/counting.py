"""Count the occurrences of a series, once: COUNT becomes an instant, and from then on nobody counts forward."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

from shared.errors import InvalidSchedule
from shared.recurrence.elapsed import Elapsed
from shared.recurrence.rule import Rule
from shared.recurrence.series import Series
from shared.recurrence.zones import DAY, END, EPOCH_UTC, seconds_of

MOST_COUNTED = 22_000
_MOST_WALKED = 100_000
_LIFETIME = 60 * 365 * DAY
_SOME = 300
_NEARLY_A_SECOND = timedelta(microseconds=999_999)
_BEGIN, _END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


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
    if series.rule is not None and series.until is None:
        return None
    counted = _of_rule(series, _BEGIN, _END, most=MOST_COUNTED)
    return None if counted is None else counted + _changed(series, _BEGIN, _END)


def in_span(series: Series, since: datetime, until: datetime) -> int:
    """Return how many occurrences a series has in [since, until]; of those that have to be walked, at most 100 000."""
    counted = _of_rule(series, since, until, most=_MOST_WALKED)
    return (_MOST_WALKED if counted is None else counted) + _changed(series, since, until)


def _of_rule(series: Series, since: datetime, until: datetime, *, most: int) -> int | None:
    """Return how many instants in [since, until] the rule alone gives; None where more than `most` are to be walked."""
    if series.rule is None:
        return sum(since <= moment.at <= until for moment in series.rule_moments())
    since, until = max(since, series.start_at), until if series.until is None else min(until, series.until)
    first, last = seconds_of(since + _NEARLY_A_SECOND), seconds_of(until)
    if first > last:
        return 0
    stepped = series.stepped
    if isinstance(stepped, Elapsed) and stepped.unfiltered:
        return stepped.number_by(last) - stepped.number_by(first - 1)
    walked = takewhile(lambda pair: pair[0] <= last, series.seconds_from(first))
    number = sum(1 for _ in islice(walked, most + 1))
    return number if number <= most else None


def _changed(series: Series, since: datetime, until: datetime) -> int:
    """Return how many instants in [since, until] RDATE adds, less those that EXDATE leaves out."""
    excluded = set(series.exdates)
    left_out = sum(series.has(at) for at in excluded if since <= at <= until)
    return sum(not series.has(at) for at in set(series.rdates) - excluded if since <= at <= until) - left_out
