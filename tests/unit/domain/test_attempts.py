from __future__ import annotations

from datetime import timedelta
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import durations
from shared.domain.attempts import (
    DeadLetter,
    Delivered,
    Outcome,
    TryAgain,
    Verdict,
    delay_after,
    outcome_of_status,
    verdict_of,
)
from shared.domain.content import DEFAULT_DELAYS, Retry
from tests.factories import DAY, HOUR, MINUTE, SECOND, attempt_of

AT_ONCE = timedelta(0)
EXACT = Retry(max_attempts=3, delays=("PT10S", "PT1M"), jitter=0)

REPEATABLE = [
    Outcome.HTTP_ERROR,
    Outcome.REDIRECT,
    Outcome.TIMEOUT,
    Outcome.NETWORK_ERROR,
    Outcome.TLS_ERROR,
    Outcome.INTERRUPTED,
    Outcome.CANNOT_SIGN,
]
FINAL = [outcome for outcome in Outcome if outcome not in REPEATABLE]

SECONDS = st.integers(0, 10**6)
RETRIES = st.builds(
    Retry,
    max_attempts=st.integers(1, 25),
    delays=st.lists(SECONDS.map(lambda s: f"PT{s}S"), min_size=1, max_size=25).map(tuple),
    jitter=st.floats(0, 1),
    max_age=st.none() | SECONDS.map(lambda s: f"PT{s}S"),
)
SEEDS = st.integers().map(Random)


def verdict(
    outcome: Outcome,
    retry: Retry = EXACT,
    *,
    number: int = 1,
    age: timedelta = AT_ONCE,
    retry_after: timedelta | None = None,
) -> Verdict:
    attempt = attempt_of(number=number, outcome=outcome, retry_after=retry_after)
    return verdict_of(attempt, retry, age=age, random=Random(0))


class TestOutcomeOfStatus:
    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            (100, Outcome.HTTP_ERROR), (101, Outcome.HTTP_ERROR), (199, Outcome.HTTP_ERROR),
            (200, Outcome.DELIVERED), (201, Outcome.DELIVERED), (202, Outcome.DELIVERED), (204, Outcome.DELIVERED),
            (299, Outcome.DELIVERED), (300, Outcome.REDIRECT), (301, Outcome.REDIRECT), (302, Outcome.REDIRECT),
            (304, Outcome.REDIRECT), (307, Outcome.REDIRECT), (308, Outcome.REDIRECT), (399, Outcome.REDIRECT),
            (400, Outcome.HTTP_ERROR), (401, Outcome.HTTP_ERROR), (404, Outcome.HTTP_ERROR),
            (409, Outcome.HTTP_ERROR), (410, Outcome.GONE), (411, Outcome.HTTP_ERROR), (429, Outcome.HTTP_ERROR),
            (500, Outcome.HTTP_ERROR), (503, Outcome.HTTP_ERROR), (599, Outcome.HTTP_ERROR),
            (600, Outcome.HTTP_ERROR), (999, Outcome.HTTP_ERROR),
        ],
    )  # fmt: skip
    def test_a_status_has_its_outcome(self, status: int, expected: Outcome) -> None:
        assert outcome_of_status(status) is expected

    @given(st.integers(0, 999))
    def test_only_2xx_is_delivered(self, status: int) -> None:
        assert (outcome_of_status(status) is Outcome.DELIVERED) == (200 <= status <= 299)


class TestDelayAfter:
    @given(st.integers(1, 100), RETRIES, SEEDS)
    def test_a_delay_stays_within_its_jitter(self, number: int, retry: Retry, random: Random) -> None:
        nominal = durations.parse(retry.delays[min(number, len(retry.delays)) - 1])
        rounding = timedelta(microseconds=2)

        delay = delay_after(number, retry, random)

        assert nominal * (1 - retry.jitter) - rounding <= delay <= nominal * (1 + retry.jitter) + rounding
        assert delay >= timedelta(0)

    def test_each_failed_attempt_has_its_own_delay(self) -> None:
        retry = Retry(jitter=0)

        delays = [delay_after(number, retry, Random(0)) for number in range(1, 10)]

        assert delays == [durations.parse(text) for text in DEFAULT_DELAYS]

    def test_the_last_delay_repeats(self) -> None:
        assert delay_after(2, EXACT, Random(0)) == delay_after(24, EXACT, Random(0)) == MINUTE

    def test_jitter_spreads_to_both_sides(self) -> None:
        random = Random(0)
        retry = Retry(delays=("PT100S",), jitter=0.2)

        delays = [delay_after(1, retry, random) for _ in range(1000)]

        assert 80 * SECOND <= min(delays) < 85 * SECOND
        assert 115 * SECOND < max(delays) <= 120 * SECOND

    def test_full_jitter_is_never_negative(self) -> None:
        random = Random(0)
        retry = Retry(delays=("PT10S",), jitter=1)

        assert all(timedelta(0) <= delay_after(1, retry, random) <= 20 * SECOND for _ in range(1000))


class TestVerdictOf:
    @pytest.mark.parametrize("number", [1, 3, 25])
    def test_delivered_is_delivered_whatever_the_number(self, number: int) -> None:
        assert verdict(Outcome.DELIVERED, number=number, age=365 * DAY) == Delivered()

    @pytest.mark.parametrize("number", [1, 3])
    def test_gone_buries_at_once_and_disables_the_event(self, number: int) -> None:
        assert verdict(Outcome.GONE, number=number) == DeadLetter("gone", disables_event=True)

    @pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.INVALID_REQUEST])
    def test_what_can_never_succeed_is_not_tried_again(self, outcome: Outcome) -> None:
        assert verdict(outcome) == DeadLetter(outcome.value, disables_event=False)

    @pytest.mark.parametrize("outcome", REPEATABLE)
    def test_a_failure_is_tried_again_after_its_delay(self, outcome: Outcome) -> None:
        assert verdict(outcome, number=1) == TryAgain(10 * SECOND)
        assert verdict(outcome, number=2) == TryAgain(MINUTE)

    @pytest.mark.parametrize("outcome", REPEATABLE)
    @pytest.mark.parametrize("number", [3, 4])
    def test_the_last_attempt_is_not_followed_by_another(self, outcome: Outcome, number: int) -> None:
        assert verdict(outcome, number=number) == DeadLetter("attempts_exhausted")

    def test_a_single_attempt_means_no_retry(self) -> None:
        assert verdict(Outcome.HTTP_ERROR, Retry(max_attempts=1)) == DeadLetter("attempts_exhausted")

    @pytest.mark.parametrize("outcome", FINAL)
    def test_retry_after_changes_no_final_ending(self, outcome: Outcome) -> None:
        assert verdict(outcome, retry_after=HOUR) == verdict(outcome)

    def test_a_longer_retry_after_wins_over_the_delay(self) -> None:
        assert verdict(Outcome.HTTP_ERROR, retry_after=HOUR) == TryAgain(HOUR)

    def test_a_shorter_retry_after_does_not_hasten(self) -> None:
        assert verdict(Outcome.HTTP_ERROR, retry_after=SECOND) == TryAgain(10 * SECOND)

    def test_an_attempt_may_begin_at_max_age(self) -> None:
        retry = msgspec.structs.replace(EXACT, max_age="PT1M")

        assert verdict(Outcome.TIMEOUT, retry, age=50 * SECOND) == TryAgain(10 * SECOND)

    def test_no_attempt_begins_after_max_age(self) -> None:
        retry = msgspec.structs.replace(EXACT, max_age="PT1M")

        assert verdict(Outcome.TIMEOUT, retry, age=50 * SECOND + timedelta(microseconds=1)) == DeadLetter("max_age")

    def test_retry_after_beyond_max_age_buries(self) -> None:
        retry = msgspec.structs.replace(EXACT, max_age="PT1M")

        assert verdict(Outcome.HTTP_ERROR, retry, retry_after=HOUR) == DeadLetter("max_age")

    def test_exhausted_attempts_are_the_reason_also_beyond_max_age(self) -> None:
        retry = msgspec.structs.replace(EXACT, max_age="PT1M")

        assert verdict(Outcome.TIMEOUT, retry, number=3, age=DAY) == DeadLetter("attempts_exhausted")

    def test_attempts_before_a_replay_are_no_part_of_its_policy(self) -> None:
        def of_replay(number: int) -> Verdict:
            attempt = attempt_of(number=number, outcome=Outcome.TIMEOUT)
            return verdict_of(attempt, EXACT, age=AT_ONCE, random=Random(0), attempts_before=3)

        assert of_replay(4) == TryAgain(10 * SECOND)
        assert of_replay(5) == TryAgain(MINUTE)
        assert of_replay(6) == DeadLetter("attempts_exhausted")

    @given(
        st.sampled_from(REPEATABLE),
        RETRIES,
        st.integers(1, 30),
        SECONDS,
        st.none() | SECONDS.map(lambda s: timedelta(seconds=s)),
        SEEDS,
    )
    def test_a_retry_keeps_every_limit(
        self, outcome: Outcome, retry: Retry, number: int, age: int, retry_after: timedelta | None, random: Random
    ) -> None:
        attempt = attempt_of(number=number, outcome=outcome, retry_after=retry_after)

        found = verdict_of(attempt, retry, age=timedelta(seconds=age), random=random)

        match found:
            case TryAgain(delay):
                assert number < retry.max_attempts
                assert delay >= (retry_after or timedelta(0))
                assert retry.max_age is None or timedelta(seconds=age) + delay <= durations.parse(retry.max_age)
            case DeadLetter(reason, disables_event):
                assert reason == ("attempts_exhausted" if number >= retry.max_attempts else "max_age")
                assert not disables_event
            case Delivered():
                pytest.fail("a failure was taken for a success")
