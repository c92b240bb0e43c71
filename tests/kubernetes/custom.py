"""The custom resources that are used, as far as they are used: a field that is not here is a mistake or a new idea."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Strict(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Refuses what it does not know."""


class Selector(Strict, frozen=True, kw_only=True):
    match_labels: dict[str, str]


class Relabeling(Strict, frozen=True, kw_only=True):
    source_labels: list[str]
    target_label: str


class Endpoint(Strict, frozen=True, kw_only=True):
    port: str
    path: str
    interval: str
    relabelings: list[Relabeling] = []


class ServiceMonitorSpec(Strict, frozen=True, kw_only=True):
    selector: Selector
    endpoints: list[Endpoint]
    job_label: str


class Rule(Strict, frozen=True, kw_only=True):
    alert: str
    expr: str
    for_: str = msgspec.field(name="for", default="0s")
    labels: dict[str, str]
    annotations: dict[str, str]


class Group(Strict, frozen=True, kw_only=True):
    name: str
    rules: list[Rule]


class PrometheusRuleSpec(Strict, frozen=True, kw_only=True):
    groups: list[Group]


class Target(Strict, frozen=True, kw_only=True):
    name: str


class Fallback(Strict, frozen=True, kw_only=True):
    failure_threshold: int
    replicas: int
    behavior: Literal["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"]


class Policy(Strict, frozen=True, kw_only=True):
    type: Literal["Pods", "Percent"]
    value: int
    period_seconds: int


class Rules(Strict, frozen=True, kw_only=True):
    policies: list[Policy]
    stabilization_window_seconds: int = 0


class Behavior(Strict, frozen=True, kw_only=True):
    scale_up: Rules
    scale_down: Rules


class HorizontalConfig(Strict, frozen=True, kw_only=True):
    behavior: Behavior


class Advanced(Strict, frozen=True, kw_only=True):
    horizontal_pod_autoscaler_config: HorizontalConfig


class Query(Strict, frozen=True, kw_only=True):
    """All values are strings, numbers too."""

    server_address: str
    query: str
    threshold: str
    ignore_null_values: Literal["true", "false"]


class Trigger(Strict, frozen=True, kw_only=True):
    type: Literal["prometheus"]
    metric_type: Literal["AverageValue", "Value"]
    metadata: Query


class ScaledObjectSpec(Strict, frozen=True, kw_only=True):
    scale_target_ref: Target
    min_replica_count: int
    max_replica_count: int
    polling_interval: int
    fallback: Fallback
    advanced: Advanced
    triggers: list[Trigger]


SPECS: dict[tuple[str, str], type[Strict]] = {
    ("monitoring.coreos.com/v1", "ServiceMonitor"): ServiceMonitorSpec,
    ("monitoring.coreos.com/v1", "PrometheusRule"): PrometheusRuleSpec,
    ("keda.sh/v1alpha1", "ScaledObject"): ScaledObjectSpec,
}


def fault(document: dict[str, Any], kind: type[Strict]) -> str | None:
    """Return what is wrong with the spec of a custom resource."""
    try:
        msgspec.convert(document.get("spec"), kind)
    except msgspec.ValidationError as error:
        return str(error)
    return None
