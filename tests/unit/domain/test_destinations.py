from __future__ import annotations

from datetime import timedelta
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import destinations
from shared.domain.attempts import Attempt, Outcome
from shared.domain.destinations import TRIPS_AT, Health, Tally, destination_of, origin_of
from tests.factories import HOUR, MINUTE, NOON, SECOND, attempt_of

ORIGIN = "https://receiver.example:443"
UNANSWERED = [Outcome.TIMEOUT, Outcome.NETWORK_ERROR, Outcome.TLS_ERROR]
NOT_ASKED = [Outcome.REFUSED, Outcome.INVALID_REQUEST, Outcome.CANNOT_SIGN, Outcome.INTERRUPTED]

spans = st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(hours=24))
tallies = st.builds(
    Tally, origin=st.just(ORIGIN), failures=st.integers(0, 500), answered=st.booleans(), retry_after=st.none() | spans
).filter(lambda tally: tally.answered or tally.failures > 0)
healths = st.builds(
    Health,
    failures=st.integers(0, 1000),
    trips=st.integers(0, 50),
    blocked_until=st.none() | spans.map(lambda span: NOON + span) | spans.map(lambda span: NOON - span),
    probing=st.booleans(),
)


def answered(status: int, *, retry_after: timedelta | None = None, url: str = "https://receiver.example/a") -> Attempt:
    return msgspec.structs.replace(
        attempt_of(outcome=Outcome.HTTP_ERROR, retry_after=retry_after), status_code=status, url=url
    )


def unanswered(outcome: Outcome = Outcome.TIMEOUT) -> Attempt:
    return attempt_of(outcome=outcome)


def failed(weight: int, *, retry_after: timedelta | None = None) -> Tally:
    return Tally(origin=ORIGIN, failures=weight, answered=False, retry_after=retry_after)


class TestOriginOf:
    @pytest.mark.parametrize(
        ("url", "origin"),
        [
            ("https://receiver.example/hook?a=1#b", "https://receiver.example:443"),
            ("HTTPS://Receiver.EXAMPLE/Hook", "https://receiver.example:443"),
            ("https://receiver.example:443/hook", "https://receiver.example:443"),
            ("https://receiver.example:0443/hook", "https://receiver.example:443"),
            ("http://receiver.example", "http://receiver.example:80"),
            ("http://receiver.example:", "http://receiver.example:80"),
            ("http://receiver.example:8080/", "http://receiver.example:8080"),
            ("https://user:secret@receiver.example/hook", "https://receiver.example:443"),
            ("http://127.0.0.1:9000/hook", "http://127.0.0.1:9000"),
            ("http://[2001:DB8::1]/hook", "http://2001:db8::1:80"),
            ("http://[2001:db8::1]:81/hook", "http://2001:db8::1:81"),
            ("HTTPS://BÜCHER.example/", "https://bücher.example:443"),
        ],
    )
    def test_an_origin_has_one_form(self, url: str, origin: str) -> None:
        assert origin_of(url) == origin

    @pytest.mark.parametrize(
        "other",
        [
            "http://receiver.example/hook",
            "https://receiver.example:444/hook",
            "https://other.example/hook",
            "https://receiver.example.other/hook",
        ],
    )
    def test_another_scheme_host_or_port_is_another_destination(self, other: str) -> None:
        assert destination_of(other) != destination_of("https://receiver.example/hook")

    def test_what_differs_in_path_query_and_user_only_is_one_destination(self) -> None:
        assert destination_of("https://a:b@receiver.example/x?y") == destination_of("https://RECEIVER.example:443/z")

    @pytest.mark.parametrize(
        "url", ["", "no url", "http://", "http://[::1", "http://host:99999/", "http://host:x/", "//"]
    )
    def test_garbage_has_a_destination_too(self, url: str) -> None:
        assert destination_of(url) not in (destination_of(ORIGIN), destinations.NOWHERE)

    @given(st.text() | st.text(alphabet="htps:/[]@.%0123456789?#\\ \t\nⅧ℀", max_size=30).map("http://".__add__))
    def test_nothing_raises_and_every_destination_has_63_bits(self, url: str) -> None:
        assert 0 <= destination_of(url) < 2**63


class TestWeightOf:
    @pytest.mark.parametrize("outcome", UNANSWERED)
    def test_a_request_without_an_answer_weighs_more_than_a_bad_answer(self, outcome: Outcome) -> None:
        assert destinations.weight_of(unanswered(outcome)) > destinations.weight_of(answered(500)) > 0

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 599])
    def test_a_destination_that_is_not_well_says_so(self, status: int) -> None:
        assert destinations.weight_of(answered(status)) > 0

    @pytest.mark.parametrize("status", [200, 204, 302, 400, 401, 404, 410, 428, 430, 499])
    def test_an_answer_about_the_request_does_not_speak_against_its_destination(self, status: int) -> None:
        assert destinations.weight_of(answered(status)) == 0

    @pytest.mark.parametrize("outcome", NOT_ASKED)
    def test_what_was_not_asked_or_cut_off_by_us_weighs_nothing(self, outcome: Outcome) -> None:
        assert destinations.weight_of(unanswered(outcome)) == 0

    @pytest.mark.parametrize(
        ("attempt", "may_be_sent_more"),
        [
            (answered(200), True),
            (answered(404), True),
            (answered(500), True),
            (answered(429), False),
            (answered(503), False),
            (unanswered(), False),
            (unanswered(Outcome.INTERRUPTED), None),
            (unanswered(Outcome.REFUSED), None),
        ],
    )
    def test_a_lane_grows_with_answers_and_shrinks_without(
        self, attempt: Attempt, may_be_sent_more: bool | None
    ) -> None:
        assert destinations.is_answered(attempt) is may_be_sent_more


class TestTally:
    def test_attempts_are_summed_up_by_destination(self) -> None:
        other = answered(500, url="https://other.example/")

        found = destinations.tally([answered(500), other, unanswered(), answered(502)])

        assert found[destination_of(other.url)] == Tally(origin="https://other.example:443", failures=1, answered=False)
        assert found[destination_of(ORIGIN)] == failed(1 + 5 + 1)
        assert len(found) == 2

    def test_only_what_failed_since_the_last_answer_counts(self) -> None:
        [tally] = destinations.tally([unanswered(), answered(200), answered(500)]).values()

        assert (tally.failures, tally.answered) == (1, True)

    def test_what_was_not_asked_is_left_out(self) -> None:
        assert destinations.tally([unanswered(outcome) for outcome in NOT_ASKED]) == {}

    def test_the_last_retry_after_holds(self) -> None:
        attempts = [answered(429, retry_after=HOUR), answered(503, retry_after=MINUTE), answered(500)]

        [tally] = destinations.tally(attempts).values()

        assert tally == failed(3, retry_after=MINUTE)


class TestHealthAfter:
    @given(healths)
    def test_an_answer_always_closes(self, health: Health) -> None:
        answer = Tally(origin=ORIGIN, failures=0, answered=True)

        assert destinations.health_after(health, answer, now=NOON) is None

    @given(healths, tallies)
    def test_after_an_answer_nothing_of_before_is_remembered(self, health: Health, tally: Tally) -> None:
        tally = msgspec.structs.replace(tally, answered=True)

        after = destinations.health_after(health, tally, now=NOON)

        assert after == destinations.health_after(Health(), tally, now=NOON)

    @given(healths, st.integers(1, 500), spans)
    def test_while_it_is_blocked_only_the_probes_failure_counts(
        self, health: Health, weight: int, left: timedelta
    ) -> None:
        blocked = msgspec.structs.replace(health, blocked_until=NOON + left, probing=False)

        after = destinations.health_after(blocked, failed(weight), now=NOON)

        assert after == msgspec.structs.replace(blocked, failures=blocked.failures + weight)

    @given(healths, st.integers(1, 500), spans)
    def test_a_failed_probe_blocks_for_longer_than_the_last_time(
        self, health: Health, weight: int, left: timedelta
    ) -> None:
        probed = msgspec.structs.replace(health, failures=TRIPS_AT, blocked_until=NOON + left, probing=True)

        after = destinations.health_after(probed, failed(weight), now=NOON)

        assert after == Health(
            failures=TRIPS_AT + weight,
            trips=health.trips + 1,
            blocked_until=NOON + destinations.pause_of(health.trips + 1),
        )

    @given(healths, tallies, spans)
    def test_retry_after_never_shortens_a_block_and_is_never_cut_short(
        self, health: Health, tally: Tally, span: timedelta
    ) -> None:
        health = msgspec.structs.replace(health, probing=False)
        told = msgspec.structs.replace(tally, retry_after=span, answered=False)

        after = destinations.health_after(health, told, now=NOON)

        assert after is not None
        assert after.blocked_until == max(NOON + span, health.blocked_until or NOON)

    def test_the_probes_retry_after_ends_its_hold(self) -> None:
        probed = Health(failures=TRIPS_AT, trips=1, blocked_until=NOON + 75 * SECOND, probing=True)

        after = destinations.health_after(probed, failed(1, retry_after=10 * SECOND), now=NOON)

        assert after == Health(failures=TRIPS_AT + 1, trips=1, blocked_until=NOON + 10 * SECOND)

    @given(healths, tallies)
    def test_what_an_attempt_leaves_behind_is_no_probe_any_more_or_was_none(self, health: Health, tally: Tally) -> None:
        after = destinations.health_after(health, tally, now=NOON)

        if after is not None and after.probing:
            assert health.probing
            assert after.failures < TRIPS_AT

    def test_one_weight_less_than_enough_does_not_block(self) -> None:
        assert destinations.health_after(Health(), failed(TRIPS_AT - 1), now=NOON) == Health(failures=TRIPS_AT - 1)

    def test_failures_of_many_batches_add_up_until_it_is_blocked(self) -> None:
        health = Health()
        for _ in range(9):
            after = destinations.health_after(health, failed(5), now=NOON)
            assert after is not None
            assert after.blocked_until is None
            health = after

        assert destinations.health_after(health, failed(5), now=NOON) == Health(
            failures=TRIPS_AT, trips=1, blocked_until=NOON + 5 * SECOND
        )

    @given(healths, st.integers(1, 500))
    def test_a_failure_is_never_forgotten_by_another(self, health: Health, weight: int) -> None:
        after = destinations.health_after(health, failed(weight), now=NOON)

        assert after is not None
        assert after.failures == health.failures + weight
        assert after.trips >= health.trips


class TestPauseOf:
    def test_pauses_double_from_five_seconds_to_five_minutes(self) -> None:
        assert [destinations.pause_of(trips) // SECOND for trips in range(1, 9)] == [5, 10, 20, 40, 80, 160, 300, 300]

    def test_any_number_of_trips_has_a_pause(self) -> None:
        assert destinations.pause_of(10**9) == 5 * MINUTE


class TestTimeToComeBack:
    @given(st.timedeltas(min_value=-HOUR, max_value=24 * HOUR), st.integers(0, 2**32))
    def test_it_is_not_before_the_block_ends_nor_long_after(self, left: timedelta, seed: int) -> None:
        wait = destinations.time_to_come_back(NOON + left, now=NOON, random=Random(seed))

        least = max(left, timedelta(0))
        assert least <= wait <= least + max(SECOND, min(least / 2, MINUTE))

    def test_what_waits_does_not_come_back_all_at_once(self) -> None:
        random = Random(7)
        waits = {destinations.time_to_come_back(NOON + MINUTE, now=NOON, random=random) for _ in range(100)}

        assert max(waits) - min(waits) > 15 * SECOND
