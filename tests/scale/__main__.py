"""Replace every process of a scaled-out Qhronos under load, one after the other: `python -m tests.scale --help`.

Exit code 1 when a delivery is lost, doubled or early, a process does not end by itself, or the API is ever away.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from tests.scale import report, rolling
from tests.scale.rolling import Options


def arguments() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    parser.add_argument("--deliveries", type=int, default=20_000, help="how many in all")
    parser.add_argument("--rate", type=float, default=400, help="deliveries a second")
    parser.add_argument("--created", type=float, default=0.05, help="the share that clients create meanwhile")
    given = parser.parse_args()
    return Options(deliveries=given.deliveries, rate=given.rate, created=given.created)


def main() -> int:
    """Run, report and return the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="qhronos-scale-"))
    folder.chmod(0o711)
    sys.stdout.write(f"logs in {folder}\n")
    outcome = asyncio.run(rolling.run(arguments(), folder))
    sys.stdout.write(report.text(outcome))
    if outcome.violations:
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
