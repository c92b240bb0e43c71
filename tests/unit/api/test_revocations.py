"""What a process remembers of revoked tokens."""

from __future__ import annotations

from uuid import uuid4

from services.api.revocations import Revocations
from shared.domain.ids import TokenId
from shared.store.tokens import Revoked
from tests.factories import NOON


def test_what_was_heard_twice_is_known_once_and_nothing_else_is() -> None:
    known, heard = Revocations(), Revoked(TokenId(uuid4()), NOON)

    known.learn([heard])
    known.learn([heard])

    assert str(heard.id) in known
    assert str(uuid4()) not in known
    assert "not-a-uuid" not in known
