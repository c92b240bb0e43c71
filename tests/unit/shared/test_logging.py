from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging as standard, structlog
from shared import logging
logging.configure("scheduler", readable={readable})
structlog.get_logger().info("claim.made", number=2, note="two words")
standard.getLogger("library").warning("beware of %s", "it")
standard.getLogger("library").info("all is well")
"""


def logged(*, readable: bool) -> list[str]:
    """Return what a process writes; `configure` is for a whole process."""
    program = [sys.executable, "-c", PROGRAM.format(readable=readable)]
    return subprocess.run(program, capture_output=True, text=True, check=True).stderr.splitlines()


def test_lines_are_json_objects_that_name_the_fact() -> None:
    ours, theirs = (json.loads(line) for line in logged(readable=False))

    assert ours.keys() == {"event", "number", "note", "service", "level", "timestamp"}
    assert (ours["event"], ours["number"], ours["service"], ours["level"]) == ("claim.made", 2, "scheduler", "info")
    assert (theirs["event"], theirs["level"]) == ("beware of it", "warning")


def test_lines_for_people_say_the_same() -> None:
    ours, theirs = logged(readable=True)

    assert ours.endswith("claim.made number=2 note='two words' service=scheduler")
    assert "beware of it" in theirs
    assert "\x1b" not in ours, "colours only on a terminal"
