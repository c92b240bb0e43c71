"""Alerts, runbook and dashboard belong together."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

MONITORING = Path(__file__).parents[3] / "deploy" / "monitoring"
RUNBOOK = (MONITORING / "runbook.md").read_text()
SECTIONS = re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE)


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_each_alert_has_a_section_of_the_runbook_and_each_section_an_alert() -> None:
    assert sorted(alert["alert"] for alert in alerts()) == sorted(SECTIONS)


def test_each_alert_leads_to_its_section_and_says_how_bad_it_is() -> None:
    assert {alert["alert"]: alert["annotations"]["runbook"] for alert in alerts()} == {
        name: f"deploy/monitoring/runbook.md#{name.lower()}" for name in SECTIONS
    }
    assert {alert["labels"]["severity"] for alert in alerts()} == {"warning", "critical"}


def test_an_alert_that_the_runbook_mentions_is_one() -> None:
    assert set(re.findall(r"\bQhronos[A-Z]\w+", RUNBOOK)) == set(SECTIONS)


def test_each_panel_of_the_dashboard_asks_something_and_says_what_it_shows() -> None:
    panels: list[dict[str, Any]] = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    shown = [panel for panel in panels if panel["type"] != "row"]

    assert Counter(panel["id"] for panel in panels).most_common(1)[0][1] == 1
    assert [panel["title"] for panel in shown if not panel["description"] or not panel["targets"]] == []
