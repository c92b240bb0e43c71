from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.ids import EventId, event_id_at, occurrence_id_of, trigger_id_at
from tests.factories import NOON, SECOND

MICROSECOND = timedelta(microseconds=1)
MILLISECOND = timedelta(milliseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
ANY_INSTANT = st.integers(0, (LAST - FIRST) // MICROSECOND).map(lambda n: FIRST + n * MICROSECOND)
WHOLE_SECONDS = st.integers(0, 200 * 365 * 86_400).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
EVENT = event_id_at(NOON)


def milliseconds_of(value: int) -> int:
    return value >> 80


@given(ANY_INSTANT)
def test_an_event_id_is_a_uuid_of_version_7(instant: datetime) -> None:
    event_id = event_id_at(instant)

    assert (event_id.version, event_id.variant) == (7, RFC_4122)


@given(ANY_INSTANT, st.text())
def test_an_occurrence_id_is_a_uuid_of_version_8(instant: datetime, recurrence_id: str) -> None:
    occurrence_id = occurrence_id_of(EVENT, recurrence_id, instant)

    assert (occurrence_id.version, occurrence_id.variant) == (8, RFC_4122)


@given(ANY_INSTANT)
def test_a_trigger_id_is_a_uuid_of_version_8(instant: datetime) -> None:
    trigger_id = trigger_id_at(instant)

    assert (trigger_id.version, trigger_id.variant) == (8, RFC_4122)


@given(WHOLE_SECONDS)
def test_ids_begin_with_the_unix_milliseconds(instant: datetime) -> None:
    expected = int(instant.timestamp()) * 1000

    assert milliseconds_of(event_id_at(instant).int) == expected
    assert milliseconds_of(trigger_id_at(instant).int) == expected
    assert milliseconds_of(occurrence_id_of(EVENT, "", instant).int) == expected


@given(st.integers(0, (LAST - EPOCH) // MILLISECOND))
@example(2_194_258_203_220)  # as a float of seconds it is a little less
def test_ids_are_exact_to_the_millisecond(milliseconds: int) -> None:
    instant = EPOCH + milliseconds * MILLISECOND

    assert milliseconds_of(event_id_at(instant).int) == milliseconds
    assert milliseconds_of(trigger_id_at(instant + 999 * MICROSECOND).int) == milliseconds
    assert milliseconds_of(occurrence_id_of(EVENT, "", instant).int) == milliseconds


@given(WHOLE_SECONDS, st.text())
def test_an_occurrence_id_is_the_same_whenever_it_is_derived(instant: datetime, recurrence_id: str) -> None:
    first = occurrence_id_of(EVENT, recurrence_id, instant)

    assert occurrence_id_of(EVENT, recurrence_id, instant) == first
    assert occurrence_id_of(EVENT, recurrence_id, instant.astimezone()) == first


def test_an_occurrence_id_never_changes_from_release_to_release() -> None:
    event_id = EventId(UUID(bytes=bytes(range(16))))

    # By hand: 0x019d0b1dde00 ms, then the SHA-256 22f6 7b1b ecd6… with version and variant laid over it.
    assert str(occurrence_id_of(event_id, "2026-03-20T12:00:00", NOON)) == "019d0b1d-de00-82f6-bb1b-ecd6b5b67244"


def test_occurrences_of_two_events_at_the_same_time_differ() -> None:
    assert occurrence_id_of(EVENT, "x", NOON) != occurrence_id_of(event_id_at(NOON), "x", NOON)


def test_two_passes_of_a_repeated_local_time_differ() -> None:
    assert occurrence_id_of(EVENT, "2026-11-01T01:30:00-04:00", NOON) != occurrence_id_of(
        EVENT, "2026-11-01T01:30:00-05:00", NOON
    )


@given(ANY_INSTANT, ANY_INSTANT)
def test_ids_sort_by_time(one: datetime, other: datetime) -> None:
    earlier, later = sorted((max(one, NOON), max(other, NOON) + SECOND))

    if later - earlier >= timedelta(milliseconds=2):
        assert occurrence_id_of(EVENT, "a", earlier) < occurrence_id_of(EVENT, "b", later)
        assert event_id_at(earlier) < event_id_at(later)


def test_two_events_of_the_same_instant_differ() -> None:
    assert event_id_at(NOON) != event_id_at(NOON)


def test_times_before_1970_count_as_1970() -> None:
    assert milliseconds_of(occurrence_id_of(EVENT, "", datetime(1950, 1, 1, tzinfo=UTC)).int) == 0
