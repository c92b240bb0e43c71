"""Answer "what comes next" for RFC 5545 rules in named time zones."""

from shared.domain.overrides import Override
from shared.recurrence.advice import warnings
from shared.recurrence.build import series
from shared.recurrence.counting import total
from shared.recurrence.objects import rule_from_object
from shared.recurrence.overrides import Overridden, find, nearest, resolve
from shared.recurrence.parse import parse_rule
from shared.recurrence.past import newest
from shared.recurrence.rule import Freq, Rule
from shared.recurrence.series import DstGap, Occurrence, Series
from shared.recurrence.summary import summary
from shared.recurrence.zones import TZDATA_VERSION, zone_of

__all__ = [
    "TZDATA_VERSION",
    "DstGap",
    "Freq",
    "Occurrence",
    "Overridden",
    "Override",
    "Rule",
    "Series",
    "find",
    "nearest",
    "newest",
    "parse_rule",
    "resolve",
    "rule_from_object",
    "series",
    "summary",
    "total",
    "warnings",
    "zone_of",
]
