"""What names something else finds it: Services their pods, budgets and policies too, pods their accounts and maps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.kubernetes import pods
from tests.kubernetes.documents import Document, named


def faults(documents: list[Document]) -> Iterator[str]:
    """Yield what leads nowhere, and what is left open."""
    yield from _of_selectors(documents)
    yield from _of_names(documents)
    yield from _of_the_namespace(documents)


def scaling_faults(documents: list[Document]) -> Iterator[str]:
    """Yield workloads whose number two would set: an autoscaler, and whoever applies the manifest next."""
    for document in documents:
        target = document.get("spec", {}).get("scaleTargetRef")
        if target is None:
            continue
        scaled = _find(documents, target.get("kind", "Deployment"), target["name"])
        if scaled is None:
            yield f"{named(document)}: there is no {target['name']} to scale"
        elif "replicas" in scaled["spec"]:
            yield f"{named(scaled)}: says how many replicas, which {named(document)} decides"


def _find(documents: list[Document], kind: str, name: str) -> Document | None:
    found = [each for each in documents if each["kind"] == kind and each["metadata"]["name"] == name]
    return found[0] if found else None


def _of_selectors(documents: list[Document]) -> Iterator[str]:
    all_templates = [template for _, template in pods.templates(documents)]
    for document in documents:
        spec = document.get("spec", {})
        match document["kind"]:
            case "Service":
                selector, ports = {"matchLabels": spec["selector"]}, [port["targetPort"] for port in spec["ports"]]
            case "Deployment" | "StatefulSet" | "PodDisruptionBudget":
                selector, ports = spec["selector"], []
            case "NetworkPolicy":
                selector = spec["podSelector"]
                ports = [port["port"] for rule in spec.get("ingress", ()) for port in rule["ports"]]
            case _:
                continue
        chosen = [template for template in all_templates if _matches(selector, template["metadata"]["labels"])]
        if not chosen:
            yield f"{named(document)}: no pod is meant by its selector"
        for template in chosen:
            open_ports = {port["name"] for each in template["spec"]["containers"] for port in each.get("ports", ())}
            yield from (
                f"{named(document)}: {pods.component(template)} has no port {port}"
                for port in ports
                if port not in open_ports
            )


def _matches(selector: Document, labels: dict[str, str]) -> bool:
    expressions: list[dict[str, Any]] = selector.get("matchExpressions", [])
    assert {each["operator"] for each in expressions} <= {"In"}
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] for each in expressions
    )


def _of_names(documents: list[Document]) -> Iterator[str]:
    for document, template in pods.templates(documents):
        pod = template["spec"]
        account = _find(documents, "ServiceAccount", pod["serviceAccountName"])
        if account is None or account.get("automountServiceAccountToken") is not False:
            yield f"{named(document)}: its account is missing, or mounts a token"
        for container in pod["containers"]:
            for source in container.get("envFrom", ()):
                if _find(documents, "ConfigMap", source["configMapRef"]["name"]) is None:
                    yield f"{named(document)}: there is no ConfigMap {source['configMapRef']['name']}"
            probed = {
                container[probe]["httpGet"]["port"] for probe in pods.PROBES if "httpGet" in container.get(probe, {})
            }
            for port in sorted(probed - {port["name"] for port in container.get("ports", ())}):
                yield f"{named(document)}: is asked at a port {port} that it does not have"


def _of_the_namespace(documents: list[Document]) -> Iterator[str]:
    namespaces = [each for each in documents if each["kind"] == "Namespace"]
    label = "pod-security.kubernetes.io/enforce"
    if [each["metadata"]["labels"].get(label) for each in namespaces] != ["restricted"]:
        yield "the namespace takes pods that are not restricted"
    closed: Document = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if closed not in [each["spec"] for each in documents if each["kind"] == "NetworkPolicy"]:
        yield "no NetworkPolicy closes what the others do not open"
