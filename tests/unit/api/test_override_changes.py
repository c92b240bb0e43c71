"""When an occurrence is due, as what is changed about it has it."""

from __future__ import annotations

from datetime import datetime

import pytest

from services.api.override_changes import time_of
from shared import planning
from shared.domain.overrides import Override
from tests.factories import HOUR, NOON, timing_of


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (Override(), NOON),
        (Override(excluded=True), NOON),
        (Override(scheduled_at=NOON + HOUR), NOON + HOUR),
    ],
    ids=str,
)
def test_an_occurrence_is_due_at_its_new_time_and_an_excluded_one_at_its_own(
    override: Override, expected: datetime
) -> None:
    [occurrence] = planning.series_of_timing(timing_of()).occurrences()

    assert time_of(occurrence, override) == expected
