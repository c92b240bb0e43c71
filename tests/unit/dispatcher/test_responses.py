from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher import responses
from tests.factories import DAY, HOUR, NOON, SECOND

NOTHING = timedelta(0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", NOTHING),
        ("1", SECOND),
        ("120", 120 * SECOND),
        ("86400", DAY),
        ("86401", DAY),
        ("9" * 400, DAY),
        ("Fri, 20 Mar 2026 13:00:00 GMT", HOUR),
        ("Fri, 20 Mar 2026 14:00:00 +0100", HOUR),
        ("Fri, 20 Mar 2026 12:00:00 GMT", NOTHING),
        ("Fri, 20 Mar 2020 12:00:00 GMT", NOTHING),
        ("Fri, 20 Mar 2099 12:00:00 GMT", DAY),
        ("Friday, 20-Mar-26 13:00:00 GMT", HOUR),
        ("Fri Mar 20 13:00:00 2026", HOUR),
    ],
)
def test_seconds_and_dates_are_honoured_up_to_a_day(value: str, expected: timedelta) -> None:
    assert responses.retry_after(value, now=NOON) == expected


@pytest.mark.parametrize("value", [None, "", "soon", "-1", "1.5", "1e3", "٣", "²", "0x10", "PT5S", "1, 2", "\udcff"])
def test_what_is_no_retry_after_is_ignored(value: str | None) -> None:
    assert responses.retry_after(value, now=NOON) is None


@given(st.text(st.characters()) | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ [-+A-Z0-9]+"))
def test_no_header_is_read_as_more_than_a_day_or_less_than_nothing(value: str) -> None:
    wait = responses.retry_after(value, now=NOON)

    assert wait is None or NOTHING <= wait <= DAY


def test_no_cookie_is_kept_in_any_case() -> None:
    headers = {"Set-Cookie": "secret", "SET-COOKIE2": "secret", "X-Fine": "yes"}

    assert responses.storable_headers(headers) == {"X-Fine": "yes"}


@given(st.binary(max_size=200), st.sampled_from(["", "gzip", "deflate", "br"]))
def test_any_body_is_text_that_can_be_stored(body: bytes, encoding: str) -> None:
    text = responses.body_text(body, encoding)

    assert "\0" not in text
    assert len(text.encode()) <= 3 * responses.LONGEST_STORED


@given(st.text(max_size=5000), st.sampled_from([gzip.compress, zlib.compress]))
def test_what_was_compressed_is_read_as_it_was(text: str, compress: Callable[[bytes], bytes]) -> None:
    encoding = "gzip" if compress is gzip.compress else "deflate"

    assert responses.body_text(compress(text.encode()), encoding) == responses.body_text(text.encode(), "")
