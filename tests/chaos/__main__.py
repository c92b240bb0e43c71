"""Break everything, one thing at a time, under load: `python -m tests.chaos --help`. Exit code 1 on a violation."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos import report, runs
from tests.chaos.faults import FAULTS
from tests.chaos.runs import Options
from tests.chaos.verdict import judge


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rate", type=float, default=500, help="deliveries a second")
    parser.add_argument("--seconds", type=float, default=120, help="how long there is load")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="what draws the faults")
    parser.add_argument("--calm", type=float, default=5, help="seconds between the end of a fault and the next")
    parser.add_argument(
        "--faults", type=lambda text: text.split(","), default=(), help=f"in this order: {', '.join(FAULTS)}"
    )
    parser.add_argument("--json", type=Path, help="write what was found to this file as well")
    parser.add_argument("--keep", action="store_true", help="keep logs and ledger also when all is well")
    given = parser.parse_args()
    if unknown := set(given.faults) - FAULTS.keys():
        parser.error(f"--faults: no fault is called {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}")
    return given


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run, report and return the exit code."""
    given = arguments()
    options = Options(rate=given.rate, seconds=given.seconds, seed=given.seed, faults=given.faults, calm=given.calm)
    folder = Path(tempfile.mkdtemp(prefix="qhronos-chaos-"))
    folder.chmod(0o711)
    say(f"seed {options.seed}, logs in {folder}")
    run = asyncio.run(runs.run(options, folder, say))
    verdict = judge(run)
    say(report.text(verdict, run))
    if given.json:
        given.json.write_bytes(report.as_json(verdict, run, options))
    if not verdict.violations and not given.keep:
        shutil.rmtree(folder)
    return 1 if verdict.violations else 0


if __name__ == "__main__":
    sys.exit(main())
