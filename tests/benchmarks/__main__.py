"""Measure Qhronos from end to end, each figure beside a baseline of the same run: `python -m tests.benchmarks`.

Everything runs here: PostgreSQL and Valkey as `make run` has them, the services as processes, receivers on loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from tests.benchmarks import api, claims, figures, isolation, lateness, scaling, throughput
from tests.benchmarks.figures import Figure, Report
from tests.benchmarks.stack import QUICK, Bench, Sizes, running_bench

GROUPS: dict[str, Callable[[Bench], Awaitable[list[Figure]]]] = {
    "throughput": throughput.measure,
    "lateness": lateness.measure_lateness,
    "herd": lateness.measure_herd,
    "api": api.measure,
    "claims": claims.measure,
    "scaling": scaling.measure,
    "isolation": isolation.measure,
}


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", default=",".join(GROUPS), help=f"some of {','.join(GROUPS)}")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything works")
    parser.add_argument("--events", type=int, help="how many events there are where lists are read")
    parser.add_argument("--waiting", type=int, help="how many deliveries wait where claims are measured")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), help="where to write the figures")
    options = parser.parse_args(given)
    options.groups = options.only.split(",")
    if unknown := set(options.groups) - GROUPS.keys():
        parser.error(f"--only: no such figures: {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    return options


def sizes_of(options: argparse.Namespace) -> Sizes:
    sizes = QUICK if options.quick else Sizes()
    given = {"events": options.events, "waiting": options.waiting}
    return msgspec.structs.replace(sizes, **{name: size for name, size in given.items() if size})


async def measure(bench: Bench, groups: Sequence[str], report: Report) -> None:
    """Add to the report what each group of figures comes to, or why it could not be measured."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, sys.exit, 143)
    for group in groups:
        begun = time.monotonic()
        sys.stderr.write(f"measuring {group} … ")
        sys.stderr.flush()
        try:
            report.figures += await GROUPS[group](bench)
        except (AssertionError, TimeoutError) as error:  # the others can still be measured
            report.failures[group] = str(error) or type(error).__name__
        report.seconds[group] = round(time.monotonic() - begun, 1)
        sys.stderr.write(f"{report.failures.get(group, 'done')} ({report.seconds[group]} s)\n")


def main() -> None:
    """Measure, show, write down; also what there is when it is interrupted."""
    options = arguments()
    report = Report(quick=options.quick)
    try:
        with running_bench(sizes_of(options)) as bench:
            asyncio.run(measure(bench, options.groups, report))
    except KeyboardInterrupt:
        report.failures["the rest"] = "interrupted"
    finally:
        figures.write(report, options.json)
        sys.stdout.write("\n".join(figures.table(report.figures)) + "\n")
    sys.exit(1 if report.failures else 0)


if __name__ == "__main__":
    main()
