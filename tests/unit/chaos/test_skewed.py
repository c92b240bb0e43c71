"""A wrong clock is wrong for whoever asks, and right for those who only sleep."""

from __future__ import annotations

import subprocess
import sys
import time

PROGRAM = """
import time
from datetime import UTC, datetime, timedelta
import msgspec
from tests.chaos.skewed import skew

before = time.monotonic()
skew(timedelta(seconds={by}))
assert time.monotonic() - before < 100
assert msgspec.json.decode(msgspec.json.encode(datetime.now(UTC)), type=datetime).tzinfo is UTC
print(time.time(), datetime.now(UTC).timestamp(), datetime.now().timestamp())
"""


def asked(by: int) -> list[float]:
    program = [sys.executable, "-c", PROGRAM.format(by=by)]
    answer = subprocess.run(program, capture_output=True, text=True, check=True)
    return [float(word) for word in answer.stdout.split()]


def test_every_way_to_ask_for_the_time_is_skewed() -> None:
    for by in (300, -300):
        before = time.time()
        answers = asked(by)
        after = time.time()

        assert len(answers) == 3
        assert all(before + by <= answer <= after + by for answer in answers)
