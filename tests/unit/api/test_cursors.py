"""A cursor is opaque: what was made here is read again, anything else is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api import cursors
from shared.errors import Invalid

moments = st.datetimes(timezones=st.just(UTC))
KINDS = pytest.mark.parametrize("kind", [cursors.TimeAndId, cursors.TimeAndNumber, cursors.Id])


@given(moments, st.uuids())
def test_a_position_comes_back_to_the_microsecond(at: datetime, id_: UUID) -> None:
    cursor = cursors.encode((at, id_))

    assert cursors.decode(cursor, cursors.TimeAndId) == (at, id_)
    assert cursor.isascii()
    assert set("+/=&# ") & set(cursor) == set()
    assert len(cursor) <= 256


@given(st.uuids())
def test_an_id_comes_back(id_: UUID) -> None:
    assert cursors.decode(cursors.encode(id_), cursors.Id) == id_


@KINDS
def test_no_cursor_is_no_position(kind: type[object]) -> None:
    assert cursors.decode(None, kind) is None


@KINDS
@given(text=st.text(max_size=60))
def test_any_other_text_is_refused(kind: type[object], text: str) -> None:
    with pytest.raises(Invalid) as refused:
        cursors.decode(text, kind)

    assert [error.pointer for error in refused.value.errors] == ["cursor"]


def test_a_cursor_of_another_list_is_refused() -> None:
    position = (datetime(2027, 3, 20, tzinfo=UTC), UUID(int=1))

    for cursor, kind in (
        (cursors.encode(position), cursors.Id),
        (cursors.encode(position), cursors.TimeAndNumber),
        (cursors.encode(UUID(int=1)), cursors.TimeAndId),
    ):
        with pytest.raises(Invalid):
            cursors.decode(cursor, kind)
