"""The commands that a newcomer pastes."""

from __future__ import annotations

import shlex

from deploy.local import banner, settings


def test_the_commands_survive_the_shell_whatever_the_token() -> None:
    token = "it's $a `token`"

    text = banner.text(settings.settings_from({}), token)

    [command] = [block for block in text.replace("\\\n", " ").splitlines() if "/events" in block]
    words = shlex.split(command)
    assert f"Authorization: Bearer {token}" in words
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:8080/events"]
