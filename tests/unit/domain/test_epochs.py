from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.epochs import epoch_before_first_claim, is_first_claim

VERSION = st.integers(1, 2**31 - 1)


@given(VERSION)
def test_only_the_first_claim_is_the_first(version: int) -> None:
    planned = epoch_before_first_claim(version)

    assert not is_first_claim(planned)
    assert is_first_claim(planned + 1)
    assert not is_first_claim(planned + 2)


@given(VERSION, st.integers(0, 2**20 - 1))
def test_a_version_never_meets_an_epoch_of_the_one_before(version: int, claims: int) -> None:
    assert epoch_before_first_claim(version) + claims < epoch_before_first_claim(version + 1)


def test_the_epochs_of_the_highest_version_fit_into_a_bigint() -> None:
    assert epoch_before_first_claim(2**31 - 1) + 2**20 < 2**63
