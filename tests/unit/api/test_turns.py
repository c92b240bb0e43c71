"""A long answer keeps nobody else waiting, and those of one sub wait for each other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import pytest

from services.api import turns
from services.api.turns import Turns


def noted(name: str, log: list[str]) -> Iterator[str]:
    for number in range(5):
        log.append(f"{name}{number}")
        yield log[-1]


def changes_of(log: list[str]) -> int:
    """Return how often another one than before had its turn."""
    return sum(one[0] != other[0] for one, other in pairwise(log))


async def worked_on(subs: str, moment: timedelta, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let one request of each sub make its list at the same time; return in which order the items were made."""
    monkeypatch.setattr(turns, "MOMENT", moment)
    log: list[str] = []
    shared = Turns()
    names = "abc"[: len(subs)]
    made = await asyncio.gather(
        *(shared.listed(noted(name, log), sub=sub) for name, sub in zip(names, subs, strict=True))
    )
    assert made == [[f"{name}{number}" for number in range(5)] for name in names]
    return log


async def test_what_is_done_in_a_moment_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert changes_of(await worked_on("xyz", timedelta(hours=1), monkeypatch)) == 2


async def test_what_takes_longer_lets_others_go_on_after_every_further_item(monkeypatch: pytest.MonkeyPatch) -> None:
    log = await worked_on("xy", timedelta(hours=-1), monkeypatch)

    assert log[4:] == [f"{name}{number}" for number in range(2, 5) for name in "ab"]


async def test_of_one_sub_one_is_worked_on_at_a_time_and_keeps_no_other_sub_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = await worked_on("xxy", timedelta(hours=-1), monkeypatch)

    assert log.index("a4") < log.index("b1")
    assert log.index("c4") < log.index("b1")
