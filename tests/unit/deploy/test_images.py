"""The images: how they are made, and how they tell that they are well."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry

from deploy.docker import health
from shared import operations
from shared.readiness import Readiness
from tests.ports import HOST, free_port

ROOT = Path(__file__).parents[3]
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"


def test_the_linter_of_dockerfiles_has_nothing_to_say() -> None:
    command = [str(Path(sys.executable).with_name("hadolint")), "--no-color", str(DOCKERFILE)]

    linted = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (linted.returncode, linted.stdout) == (0, "")


def test_all_that_is_copied_into_an_image_is_in_the_build_context() -> None:
    shown = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
    copied = [source for line in lines for source in line.split()]

    assert copied
    for source in copied:
        path = source.replace("${SERVICE}", "api")
        assert (ROOT / path).exists(), path
        assert any(path == each or path.startswith(f"{each}/") for each in shown), path


async def test_a_process_is_well_when_its_operations_port_answers() -> None:
    port = free_port()

    assert await health_of(port) == 1
    async with operations.serve(HOST, port, CollectorRegistry(), never_asked):
        assert await health_of(port) == 0


def test_a_service_that_is_told_to_stop_while_it_still_loads_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "services" / "slow").mkdir(parents=True)
    (tmp_path / "services" / "slow" / "__main__.py").write_text(
        "import time\nprint('loading', flush=True)\ntime.sleep(60)\n"
    )
    (tmp_path / "start.py").write_bytes((ROOT / "deploy/docker/start.py").read_bytes())
    environment = {**os.environ, "SERVICE": "slow"}

    with subprocess.Popen(
        [sys.executable, "start.py"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"loading\n"
        process.terminate()

        assert process.wait(30) == 0


async def never_asked() -> Readiness:
    raise AssertionError


async def health_of(port: int) -> int:
    """Return the exit code of the health check, run as the image runs it."""
    command = [sys.executable, "-S", "-E", str(health.__file__)]
    environment = {**os.environ, "QHRONOS_OPS_PORT": str(port)}
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: ASYNC221 - served from a thread
