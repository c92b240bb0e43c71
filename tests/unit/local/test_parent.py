"""What /proc says about the signals that `make` listens to."""

from __future__ import annotations

from signal import SIGINT, SIGTERM

from deploy.local import parent

CAUGHT = "Name:\tmake\nSigIgn:\t0000000000000000\nSigCgt:\t0000000180014003\n"
GIVEN_UP = CAUGHT.replace("4003", "4001")


def test_a_caught_signal_is_told_from_one_that_is_not() -> None:
    assert parent.catches(SIGINT, CAUGHT)
    assert not parent.catches(SIGINT, GIVEN_UP)
    assert parent.catches(SIGTERM, CAUGHT)


def test_a_process_that_is_gone_catches_nothing() -> None:
    assert not parent.catches(SIGINT, "")
