from __future__ import annotations

from datetime import datetime

from shared.domain.secrets import EventSecrets, PreviousSecret, rotated
from tests.factories import HOUR, NOON, SECOND


def after(*steps: tuple[str, datetime, datetime], start: str | None = "first") -> EventSecrets:
    """Rotate once for each new secret, the time it comes at and the end of the one before it."""
    secrets = EventSecrets(start)
    for new, now, valid_until in steps:
        secrets = rotated(secrets, new, now=now, valid_until=valid_until)
    return secrets


def test_the_present_secret_still_signs_beside_the_new_one_until_its_end() -> None:
    secrets = after(("second", NOON, NOON + HOUR))

    assert secrets == EventSecrets("second", (PreviousSecret("first", NOON + HOUR),))
    assert secrets.valid(NOON + HOUR - SECOND) == ["second", "first"]
    assert secrets.valid(NOON + HOUR) == ["second"]


def test_the_default_secret_is_a_previous_one_too() -> None:
    assert after(("own", NOON, NOON + HOUR), start=None).valid(NOON) == ["own", None]


def test_all_that_are_still_good_are_kept_the_newest_first() -> None:
    secrets = after(
        ("second", NOON, NOON + 3 * HOUR),
        ("third", NOON + HOUR, NOON + 2 * HOUR),
        ("fourth", NOON + 2 * HOUR, NOON + 4 * HOUR),
    )

    assert secrets.valid(NOON + 2 * HOUR) == ["fourth", "third", "first"]
    assert [old.secret for old in secrets.previous] == ["third", "first"]
    assert secrets.valid(NOON + 3 * HOUR) == ["fourth", "third"]


def test_without_grace_the_present_one_goes_at_once_and_older_ones_keep_their_time() -> None:
    secrets = after(("second", NOON, NOON + HOUR), ("third", NOON, NOON))

    assert secrets.valid(NOON) == ["third", "first"]


def test_of_more_than_five_old_ones_the_oldest_go() -> None:
    secrets = after(*((str(n), NOON + n * SECOND, NOON + HOUR) for n in range(9)))

    assert secrets.valid(NOON + 10 * SECOND) == ["8", "7", "6", "5", "4", "3"]
