"""The commands that a newcomer to the containers pastes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import yaml

from deploy.compose import banner

FILE = Path(__file__).parents[3] / "docker-compose.yml"


def test_the_commands_reach_the_receiver_of_the_compose_file_whatever_the_token() -> None:
    token = "it's $a `token`"

    text = banner.text("https://127.0.0.1:8443", token, ["docker", "compose"])

    [command] = [line for line in text.replace("\\\n", " ").splitlines() if "/events" in line]
    words = shlex.split(command)
    receiver = yaml.safe_load(FILE.read_text())["services"]["receiver"]
    assert words[:3] == ["curl", "-s", "https://127.0.0.1:8443/events"]
    assert f"Authorization: Bearer {token}" in words
    assert json.loads(words[-1])["webhook_url"] == f"http://receiver:{receiver['command'][3]}/hello"
    assert f"--profile {receiver['profiles'][0]} up" in text
