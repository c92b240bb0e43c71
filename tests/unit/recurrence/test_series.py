from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from shared.recurrence import Series
from tests.unit.recurrence.making import first, instants, locals_, series_of, text, utc

NEW_YORK, LONDON = "America/New_York", "Europe/London"
LORD_HOWE, APIA, TROLL = "Australia/Lord_Howe", "Pacific/Apia", "Antarctica/Troll"


def ids(series: Series, number: int) -> list[str]:
    return [occurrence.recurrence_id for occurrence in first(series, number)]


class TestGaps:
    def test_a_time_in_a_gap_takes_the_offset_before_it(self) -> None:
        series = series_of("FREQ=DAILY", "2026-03-07T02:30", NEW_YORK)

        assert instants(series, 3) == ["2026-03-07T07:30:00Z", "2026-03-08T07:30:00Z", "2026-03-09T06:30:00Z"]

    def test_a_shifted_time_keeps_the_id_that_the_rule_gave_it(self) -> None:
        _, shifted, _ = first(series_of("FREQ=DAILY", "2026-03-07T02:30", NEW_YORK), 3)

        assert shifted.recurrence_id == "2026-03-08T02:30:00"
        assert shifted.local.isoformat() == "2026-03-08T03:30:00-04:00"
        assert shifted.flags == ("dst_adjusted",)

    def test_a_skipped_time_is_left_out(self) -> None:
        series = series_of("FREQ=DAILY", "2026-03-07T02:30", NEW_YORK, dst_gap="skip")

        assert ids(series, 2) == ["2026-03-07T02:30:00", "2026-03-09T02:30:00"]

    def test_a_skipped_time_is_not_counted(self) -> None:
        series = series_of("FREQ=DAILY;COUNT=3", "2026-03-07T02:30", NEW_YORK, dst_gap="skip")

        assert ids(series, 9) == ["2026-03-07T02:30:00", "2026-03-09T02:30:00", "2026-03-10T02:30:00"]

    def test_a_shifted_time_that_meets_another_comes_once_and_counts_once(self) -> None:
        series = series_of("FREQ=DAILY;BYHOUR=2,3;COUNT=4", "2026-03-07T02:00", NEW_YORK)

        assert ids(series, 9) == [
            "2026-03-07T02:00:00",
            "2026-03-07T03:00:00",
            "2026-03-08T03:00:00",
            "2026-03-09T02:00:00",
        ]

    def test_a_shifted_time_may_come_after_a_later_local_time(self) -> None:
        series = series_of("FREQ=DAILY;BYHOUR=2,3;BYMINUTE=0,45", "2026-03-08T00:00", NEW_YORK)

        assert ids(series, 3) == ["2026-03-08T03:00:00", "2026-03-08T03:45:00", "2026-03-09T02:00:00"]
        assert instants(series, 2) == ["2026-03-08T07:00:00Z", "2026-03-08T07:45:00Z"]

    def test_next_after_finds_a_shifted_time_from_within_the_hour_behind_the_gap(self) -> None:
        series = series_of("FREQ=DAILY;BYHOUR=2;BYMINUTE=45", "2026-03-07T02:45", NEW_YORK)

        found = series.next_after(utc("2026-03-08T07:30:00Z"))

        assert found is not None
        assert text(found.scheduled_at) == "2026-03-08T07:45:00Z"

    def test_a_gap_of_half_an_hour_shifts_by_half_an_hour(self) -> None:
        series = series_of("FREQ=DAILY", "2026-10-03T02:15", LORD_HOWE)

        assert locals_(series, 3) == ["2026-10-03 02:15", "2026-10-04 02:45", "2026-10-05 02:15"]

    def test_a_gap_of_two_hours_shifts_by_two_hours(self) -> None:
        series = series_of("FREQ=DAILY", "2026-03-28T02:30", TROLL)

        assert locals_(series, 3) == ["2026-03-28 02:30", "2026-03-29 04:30", "2026-03-30 02:30"]

    def test_a_day_that_never_was_falls_on_the_day_after_it(self) -> None:
        series = series_of("FREQ=DAILY", "2011-12-29T10:00", APIA)

        assert ids(series, 3) == ["2011-12-29T10:00:00", "2011-12-31T10:00:00", "2012-01-01T10:00:00"]

    def test_a_weekly_rule_on_a_day_that_never_was_is_shifted_by_a_day(self) -> None:
        series = series_of("FREQ=WEEKLY", "2011-12-23T10:00", APIA)

        assert ids(series, 3) == ["2011-12-23T10:00:00", "2011-12-30T10:00:00", "2012-01-06T10:00:00"]
        assert locals_(series, 3) == ["2011-12-23 10:00", "2011-12-31 10:00", "2012-01-06 10:00"]

    def test_a_start_in_a_gap_is_the_first_occurrence(self) -> None:
        series = series_of("FREQ=WEEKLY", "2026-03-08T02:30", NEW_YORK)

        assert ids(series, 2) == ["2026-03-08T02:30:00", "2026-03-15T02:30:00"]

    def test_a_single_time_in_a_gap_is_shifted(self) -> None:
        [only] = first(series_of(None, "2026-03-08T02:30", NEW_YORK), 2)

        assert (only.recurrence_id, text(only.scheduled_at)) == ("2026-03-08T02:30:00", "2026-03-08T07:30:00Z")
        assert only.flags == ("dst_adjusted",)


class TestRepeatedHours:
    def test_a_wall_clock_rule_takes_the_first_pass(self) -> None:
        series = series_of("FREQ=DAILY", "2026-10-31T01:30", NEW_YORK)

        assert instants(series, 3) == ["2026-10-31T05:30:00Z", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]

    def test_a_time_that_the_clock_shows_twice_has_its_offset_in_the_id(self) -> None:
        series = series_of("FREQ=HOURLY", "2026-11-01T00:30", NEW_YORK)

        assert ids(series, 4) == [
            "2026-11-01T00:30:00",
            "2026-11-01T01:30:00-04:00",
            "2026-11-01T01:30:00-05:00",
            "2026-11-01T02:30:00",
        ]

    def test_next_after_within_the_second_pass_goes_on_behind_it(self) -> None:
        series = series_of("FREQ=DAILY;BYHOUR=1,2;BYMINUTE=30", "2026-10-31T01:30", NEW_YORK)

        found = series.next_after(utc("2026-11-01T06:00:00Z"))

        assert found is not None
        assert found.recurrence_id == "2026-11-01T02:30:00"

    def test_an_hourly_rule_runs_25_times_on_the_long_day(self) -> None:
        series = series_of("FREQ=HOURLY", "2026-11-01T00:00", NEW_YORK)

        on_the_day = [o for o in first(series, 30) if o.local.date() == date(2026, 11, 1)]

        assert len(on_the_day) == 25

    def test_an_hourly_rule_with_byhour_fires_in_both_passes(self) -> None:
        series = series_of("FREQ=HOURLY;BYHOUR=1", "2026-11-01T01:00", NEW_YORK)

        assert instants(series, 3) == ["2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z", "2026-11-02T06:00:00Z"]

    def test_a_single_time_keeps_the_pass_that_was_meant(self) -> None:
        [only] = first(series_of(None, "2026-11-01T01:30:00-05:00", NEW_YORK), 2)

        assert only.recurrence_id == "2026-11-01T01:30:00-05:00"
        assert text(only.scheduled_at) == "2026-11-01T06:30:00Z"

    def test_a_start_in_the_second_pass_is_the_first_occurrence_and_the_only_one_of_its_day(self) -> None:
        series = series_of("FREQ=DAILY", "2026-11-01T01:30:00-05:00", NEW_YORK)

        assert instants(series, 2) == ["2026-11-01T06:30:00Z", "2026-11-02T06:30:00Z"]

    def test_elapsed_steps_go_on_from_the_second_pass(self) -> None:
        series = series_of("FREQ=MINUTELY;INTERVAL=20", "2026-11-01T01:40:00-05:00", NEW_YORK)

        assert instants(series, 3) == ["2026-11-01T06:40:00Z", "2026-11-01T07:00:00Z", "2026-11-01T07:20:00Z"]

    def test_london_in_october(self) -> None:
        series = series_of("FREQ=DAILY", "2026-10-24T01:30", LONDON)

        assert instants(series, 3) == ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]

    def test_half_an_hour_is_repeated_on_lord_howe(self) -> None:
        series = series_of("FREQ=MINUTELY;INTERVAL=30", "2026-04-05T01:00", LORD_HOWE)

        assert ids(series, 5) == [
            "2026-04-05T01:00:00",
            "2026-04-05T01:30:00+11:00",
            "2026-04-05T01:30:00+10:30",
            "2026-04-05T02:00:00",
            "2026-04-05T02:30:00",
        ]


class TestDates:
    def test_until_is_inclusive_and_an_instant(self) -> None:
        series = series_of("FREQ=DAILY;UNTIL=20261103T140000Z", "2026-11-01T09:00", NEW_YORK)

        assert instants(series, 9) == ["2026-11-01T14:00:00Z", "2026-11-02T14:00:00Z", "2026-11-03T14:00:00Z"]

    def test_an_exdate_removes_after_counting(self) -> None:
        series = series_of("FREQ=DAILY;COUNT=3", "2026-11-01T09:00", exdates=["2026-11-02T09:00Z"])

        assert instants(series, 9) == ["2026-11-01T09:00:00Z", "2026-11-03T09:00:00Z"]

    def test_an_rdate_adds_and_does_not_count(self) -> None:
        series = series_of("FREQ=DAILY;COUNT=2", "2026-11-01T09:00", rdates=["2026-11-01T12:00Z", "2026-10-01T09:00Z"])

        assert [(o.recurrence_id, o.flags) for o in first(series, 9)] == [
            ("2026-10-01T09:00:00", ("rdate",)),
            ("2026-11-01T09:00:00", ()),
            ("2026-11-01T12:00:00", ("rdate",)),
            ("2026-11-02T09:00:00", ()),
        ]

    def test_an_rdate_at_a_rule_instant_is_the_rule_instant(self) -> None:
        series = series_of("FREQ=DAILY;COUNT=2", "2026-11-01T09:00", rdates=["2026-11-02T09:00Z"])

        assert [o.flags for o in first(series, 9)] == [(), ()]

    def test_an_exdate_wins_over_an_rdate(self) -> None:
        series = series_of(None, "2026-11-01T09:00", rdates=["2026-11-02T09:00Z"], exdates=["2026-11-02T09:00Z"])

        assert instants(series, 9) == ["2026-11-01T09:00:00Z"]

    def test_a_start_off_the_rule_is_left_out(self) -> None:
        series = series_of("FREQ=WEEKLY;BYDAY=MO", "2026-11-25T09:00")

        assert instants(series, 1) == ["2026-11-30T09:00:00Z"]


class TestNextAfter:
    def test_nothing_comes_after_a_single_time(self) -> None:
        series = series_of(None, "2026-11-01T09:00")

        assert series.next_after(series.start_at) is None
        assert series.next_after(series.start_at, inclusive=True) is not None

    def test_a_fraction_of_a_second_is_after_the_second(self) -> None:
        series = series_of("FREQ=MINUTELY", "2026-11-01T09:00")

        found = series.next_after(series.start_at + timedelta(microseconds=1), inclusive=True)

        assert found is not None
        assert text(found.scheduled_at) == "2026-11-01T09:01:00Z"

    def test_an_instant_may_be_given_in_any_zone(self) -> None:
        series = series_of("FREQ=HOURLY", "2026-11-01T09:00")

        found = series.next_after(datetime.fromisoformat("2026-11-02T01:30:00+05:30"))

        assert found is not None
        assert found.scheduled_at == datetime(2026, 11, 1, 21, tzinfo=UTC)

    @pytest.mark.parametrize("rule", ["FREQ=SECONDLY", "FREQ=DAILY", "FREQ=YEARLY", "FREQ=WEEKLY", "FREQ=MONTHLY"])
    @pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
    def test_the_end_of_the_calendar_ends_every_series(self, rule: str, zone: str) -> None:
        series = series_of(rule, "2026-11-01T09:00", zone)

        assert series.next_after(datetime.max.replace(tzinfo=UTC)) is None
        assert series.next_after(datetime.min.replace(tzinfo=UTC)) == series.next_after(series.start_at, inclusive=True)

    def test_a_series_rebuilt_from_its_columns_goes_on_alike(self) -> None:
        series = series_of("FREQ=MONTHLY;BYDAY=1MO;COUNT=5", "2026-11-02T09:00", NEW_YORK)

        rebuilt = Series(
            start_at=series.start_at,
            start_local=series.start_local,
            zone=series.zone,
            rule=series.rule,
            effective_until=series.effective_until,
        )

        assert list(rebuilt.occurrences()) == list(series.occurrences())
