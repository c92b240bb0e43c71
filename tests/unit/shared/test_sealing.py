from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.ids import event_id_at
from shared.errors import SecretUnreadable
from shared.sealing import Seals
from tests.factories import NOON

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
EVENT, OTHER = event_id_at(NOON), event_id_at(NOON)
SECRETS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=255),
    st.sampled_from(
        ["sealed.1.", "plain.1.", "sealed.1.AAAA", "plain.1.plain.1.x", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2"]
    ),
)
SEALED = Seals([OLD]).seal("a secret of its own", EVENT)


@given(SECRETS, st.sampled_from([[], [OLD], [NEW, OLD]]))
def test_what_was_sealed_opens_again(secret: str, keys: list[bytes]) -> None:
    seals = Seals(keys)

    assert seals.open(seals.seal(secret, EVENT), EVENT) == secret


@given(SECRETS)
def test_a_sealed_secret_shows_nothing_and_never_looks_the_same_twice(secret: str) -> None:
    seals = Seals([OLD])
    first, second = seals.seal(secret, EVENT), seals.seal(secret, EVENT)

    assert first != second
    assert first.isascii()
    if len(secret) > 9:
        assert secret not in first
        assert secret.encode() not in base64.b64decode(first.removeprefix("sealed.1."))


def test_the_first_key_seals_and_every_key_opens() -> None:
    both = Seals([NEW, OLD])

    assert both.open(SEALED, EVENT) == "a secret of its own"
    assert Seals([NEW]).open(both.seal("x", EVENT), EVENT) == "x"


@pytest.mark.parametrize("keys", [[], [NEW]], ids=["no key", "another key"])
def test_without_its_key_a_secret_stays_sealed(keys: list[bytes]) -> None:
    with pytest.raises(SecretUnreadable, match=f"none of the {len(keys)} keys"):
        Seals(keys).open(SEALED, EVENT)


def test_a_seal_of_one_event_does_not_open_for_another() -> None:
    with pytest.raises(SecretUnreadable):
        Seals([OLD]).open(SEALED, OTHER)


@pytest.mark.parametrize(
    "stored",
    [
        "sealed.1.",
        "sealed.1.AAAA",
        "sealed.1.not base64",
        "sealed.1.größe",
        SEALED[:-4],
        SEALED[:-6] + "AAAAA=",
        SEALED[:20] + ("A" if SEALED[20] != "A" else "B") + SEALED[21:],
    ],
)
def test_a_seal_that_was_broken_does_not_open(stored: str) -> None:
    with pytest.raises(SecretUnreadable):
        Seals([NEW, OLD]).open(stored, EVENT)


@pytest.mark.parametrize("keys", [[], [OLD]], ids=["no key", "a key"])
def test_a_secret_from_before_there_was_a_key_is_used_as_it_is(keys: list[bytes]) -> None:
    assert Seals(keys).open("a secret of its own", EVENT) == "a secret of its own"


def test_without_a_key_secrets_are_stored_as_older_processes_read_them() -> None:
    assert Seals([]).seal("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", EVENT) == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
