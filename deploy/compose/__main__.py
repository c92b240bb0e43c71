"""`python -m deploy.compose up` and `down`, which are `make up` and `make down`: all of Qhronos in containers."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dotenv import dotenv_values

from deploy.compose import banner, engine, env_file
from deploy.local import settings
from deploy.local.errors import CannotRun, ServerFailed
from deploy.local.output import refuse, say

DOTENV = Path(".env")
READY_SECONDS = 120.0
STEP = 0.25


def up(arguments: Sequence[str]) -> None:
    """Build and start everything, with more arguments for Compose, and return when the API answers."""
    compose = engine.program()
    values = settings.merged(os.environ, dotenv_values(DOTENV))
    wanted = settings.settings_from(values)
    missing = env_file.missing_from(values, wanted.data)
    env_file.add(DOTENV, missing)
    if missing:
        say(f"added to {DOTENV}: {', '.join(missing)}")
    _run([*compose, "up", "--build", "--detach", *arguments])
    token = values.get("QHRONOS_MASTER_TOKEN") or missing["QHRONOS_MASTER_TOKEN"]
    say(banner.text(_url_when_ready(wanted, compose), token, compose))


def _url_when_ready(wanted: settings.Settings, compose: Sequence[str]) -> str:
    give_up_at = time.monotonic() + READY_SECONDS
    while True:
        scheme, ready, answer = engine.readiness(wanted.reachable_host, wanted.port)
        if ready:
            return f"{scheme}://{settings.bracketed(wanted.reachable_host)}:{wanted.port}"
        if time.monotonic() > give_up_at:
            program = " ".join(compose)
            raise ServerFailed(
                f"{wanted.base_url}/ready is not ready after {READY_SECONDS:g} s: {answer}\n"
                f"`{program} ps` and `{program} logs` say more; what has been started goes on"
            )
        time.sleep(STEP)


def down(arguments: Sequence[str]) -> None:
    """Stop everything, also what was started for a try; volumes stay unless the arguments say otherwise."""
    _run([*engine.program(), "--profile", "try", "down", *arguments])


def _run(command: Sequence[str]) -> None:
    code = engine.run(command)
    if code:
        raise ServerFailed(f"`{' '.join(command)}` ended with exit code {code}")


def main(arguments: Sequence[str]) -> int:
    """Do what the first argument says; return the exit code, 1 with a message when it cannot be done."""
    try:
        match arguments:
            case ["up", *more]:
                up(more)
            case ["down", *more]:
                down(more)
            case _:
                say("python -m deploy.compose up | down")
                return 2
    except (CannotRun, PermissionError) as error:
        return refuse(error)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
