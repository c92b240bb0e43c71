"""Whoever asks Prometheus for a metric that no process shows is told nothing, for ever."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, Metric

from shared import metrics

DEPLOY = Path(__file__).parents[3] / "deploy"
FILES = sorted(path for ending in ("yml", "yaml", "json", "md") for path in DEPLOY.rglob(f"*.{ending}"))
SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "info": ("_info",),
}


def label(path: Path) -> str:
    return str(path.relative_to(DEPLOY))


def asked_for(text: str) -> set[str]:
    return set(re.findall(r"\bqhronos_\w+", text))


def shown() -> set[str]:
    return {family.name + suffix for family in families() for suffix in SUFFIXES.get(family.type, ())}


def families() -> list[Metric]:
    registries = (REGISTRY, metrics.API, metrics.SCHEDULER, metrics.DISPATCHER)
    return [family for registry in registries for family in registry.collect()]


def test_metrics_are_asked_for_in_alerts_dashboard_and_scaling() -> None:
    asking = {path.name for path in FILES if asked_for(path.read_text())}

    assert {"alerts.yml", "dashboard.json", "scaled-object.yaml", "prometheus-rule.yaml"} <= asking


@pytest.mark.parametrize("path", FILES, ids=label)
def test_a_metric_that_is_asked_for_is_shown(path: Path) -> None:
    of_prose = {family.name for family in families()} if path.suffix == ".md" else set[str]()

    assert asked_for(path.read_text()) - shown() - of_prose == set()
