"""What is said about a process that has ended."""

from __future__ import annotations

import pytest

from deploy.local import supervisor


@pytest.mark.parametrize(("code", "words"), [(0, "exit code 0"), (3, "exit code 3"), (-9, "SIGKILL"), (-11, "SIGSEGV")])
def test_an_ending_names_its_signal_or_its_exit_code(code: int, words: str) -> None:
    assert supervisor.ending(code) == words
