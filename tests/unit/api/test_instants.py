"""RFC 3339 is read strictly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api import instants
from shared.errors import Invalid

offsets = st.integers(min_value=-23 * 60 - 59, max_value=23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))
moments = st.datetimes(timezones=offsets).filter(lambda moment: 1901 <= moment.year <= 9997)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-03-20T09:00:00Z", datetime(2027, 3, 20, 9, tzinfo=UTC)),
        ("2027-03-20t09:00:00z", datetime(2027, 3, 20, 9, tzinfo=UTC)),
        ("2027-03-20 09:00:00Z", datetime(2027, 3, 20, 9, tzinfo=UTC)),
        ("2027-03-20T09:00:00.5+05:30", datetime(2027, 3, 20, 3, 30, 0, 500_000, tzinfo=UTC)),
        ("2027-03-20T09:00:00.123456789Z", datetime(2027, 3, 20, 9, 0, 0, 123_456, tzinfo=UTC)),
        ("2027-03-20T09:00:00-00:00", datetime(2027, 3, 20, 9, tzinfo=UTC)),
        ("2027-03-20T09:00:00", datetime(2027, 3, 20, 9, tzinfo=UTC).replace(tzinfo=None)),
    ],
)
def test_an_instant_is_read_in_utc_and_a_local_time_stays_naive(text: str, expected: datetime) -> None:
    assert instants.parse(text) == expected
    assert instants.parse(text).tzinfo is expected.tzinfo


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2027-03-20", "2027-03-20T09:00", "20270320T090000Z", "2027-03-20T09:00:00+0530",
        "2027-3-20T9:00:00Z",
        "2027-02-29T09:00:00Z", "2027-03-20T24:00:00Z", "2027-03-20T09:00:60Z", "2027-03-20T09:00:00+24:00",
        "2027-03-20T09:00:00 Z", " 2027-03-20T09:00:00Z", "2027-03-20T09:00:00Z\n",
        "\uff12\uff10\uff12\uff17-03-20T09:00:00Z",
        "2027-03-20T09:00:00.Z", "1899-12-31T23:59:59Z", "9999-01-01T00:00:00Z", "0000-01-01T00:00:00Z",
        "2027-W12-6T09:00:00Z",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        instants.parse(text)


@given(moments)
def test_what_is_written_is_read_again(moment: datetime) -> None:
    assert instants.parse(moment.isoformat()) == moment


@given(st.text(max_size=40))
def test_no_text_raises_anything_but_a_value_error(text: str) -> None:
    assert read_or_reason(text)


def read_or_reason(text: str) -> datetime | str:
    try:
        return instants.parse(text)
    except ValueError as error:
        return str(error)


def test_the_plus_of_an_offset_may_arrive_as_a_space() -> None:
    assert instants.parameter("from", "2027-03-20T09:00:00 02:00") == datetime(2027, 3, 20, 7, tzinfo=UTC)
    assert instants.parameter("from", None) is None


@pytest.mark.parametrize("text", ["2027-03-20T09:00:00", "soon", ""])
def test_a_parameter_needs_an_offset_and_is_named_when_it_is_bad(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        instants.parameter("created_after", text)

    [error] = refused.value.errors
    assert error.pointer == "created_after"
    assert instants.parse(error.example) == datetime(2027, 3, 20, 9, tzinfo=UTC)
