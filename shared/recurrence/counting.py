"""Count the occurrences of a series, once: COUNT becomes an instant, and from then on nobody counts forward."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

from shared.errors import InvalidSchedule
from shared.recurrence.elapsed import Elapsed
from shared.recurrence.parse import parse_rule
from shared.recurrence.rule import Rule
from shared.recurrence.series import Series
from shared.recurrence.zones import END, EPOCH_UTC, seconds_of

LIFETIME = timedelta(days=60 * 365)
MOST_COUNTED = 10_000
_DAYS_OF_A_LIFETIME = 22_000
_SOME = 2_000
_MOST_PASSED = 100_000
_NEARLY_A_SECOND = timedelta(microseconds=999_999)
_BEGIN, _END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def last_counted(series: Series, rule: Rule) -> datetime | None:
    """Return the instant of occurrence number COUNT, skipped gaps and repeated instants not counted; None if never.

    Without BYxxx in elapsed time that is arithmetic. Otherwise they are walked. A COUNT of thousands that lasts for
    sixty years is no limit; one that goes on within these years after 22 000 occurrences on the wall clock, or 10 000
    in elapsed time, is refused.
    """
    if rule.count is None:
        return None
    stepped, first = series.stepped, seconds_of(series.start_at)
    if isinstance(stepped, Elapsed) and stepped.unfiltered:
        last = stepped.nth(rule.count)
        return EPOCH_UTC + timedelta(seconds=last) if last < END else None
    most = MOST_COUNTED if isinstance(stepped, Elapsed) else _DAYS_OF_A_LIFETIME
    for number, (last, _) in enumerate(series.seconds_from(first), 1):
        if number == rule.count:
            return EPOCH_UTC + timedelta(seconds=last)
        if number >= _SOME and last - first > LIFETIME.total_seconds():
            return None
        if number == most:
            raise InvalidSchedule(
                f"COUNT={rule.count} is more than can be counted",
                part="COUNT",
                hint=f"at most {most}; leave it out, or give UNTIL",
                example=f"FREQ={rule.freq.name};COUNT={most}",
            )
    return None


def total(series: Series) -> int | None:
    """Return how many occurrences a series has; None where there is no end, or one too far to be counted up to."""
    if series.rule is not None and series.effective_until is not None:
        counted = parse_rule(series.rule).count
    elif series.rule is not None and (series.until is None or _is_too_far(series, series.until)):
        counted = None
    else:
        counted = _of_rule(series, _BEGIN, _END, most=MOST_COUNTED)
    return None if counted is None else counted + _changed(series, _BEGIN, _END)


def in_span(series: Series, since: datetime, until: datetime) -> int:
    """Return how many occurrences a series has in [since, until]; of those that have to be walked, at most 100 000."""
    counted = _of_rule(series, since, until, most=_MOST_PASSED)
    return (_MOST_PASSED if counted is None else counted) + _changed(series, since, until)


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
    excluded = {at for at in series.exdates if since <= at <= until}
    extra = {at for at in series.rdates if since <= at <= until} - excluded
    return len(extra - series.given_by_rule(extra)) - len(series.given_by_rule(excluded))


def _is_too_far(series: Series, until: datetime) -> bool:
    arithmetic = isinstance(series.stepped, Elapsed) and series.stepped.unfiltered
    return not arithmetic and until - series.start_at > LIFETIME
