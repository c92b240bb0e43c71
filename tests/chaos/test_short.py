"""A short run. Only the crash of PostgreSQL, which comes first, may cost a lease: that of an attempt just beginning."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import servers
from tests.chaos import report, runs
from tests.chaos.runs import Options
from tests.chaos.verdict import judge

OPTIONS = Options(
    rate=60,
    seconds=20,
    seed=1,
    faults=("restart-postgres", "kill-scheduler", "flush-redis", "destroy-group"),
    calm=3,
    recurring=10,
    patience=200,
)


@pytest.mark.timeout(900)
async def test_under_faults_nothing_is_lost_or_early_or_comes_twice() -> None:
    with servers.scratch_folder() as folder:
        run = await runs.run(OPTIONS, Path(folder), print)

    verdict = judge(run)
    assert len(run.strikes) == len(OPTIONS.faults)
    assert verdict.sent > OPTIONS.rate * OPTIONS.seconds
    assert verdict.violations == (), report.text(verdict, run)
