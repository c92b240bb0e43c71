"""What every pod keeps to: no privileges, bounded, watched, ended in time, told only what its service reads."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, cast

import msgspec

from migrations.__main__ import MigrationSettings
from shared import process, settings
from shared.settings import PREFIX, Settings
from tests.kubernetes.documents import Document, named

SERVICES = ("api", "scheduler", "dispatcher")
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
SECRET = "qhronos"
UID = 10001
A_SECRET = "k7Vd0pQx9mZr2TbNc5Ys8Wf1Lg4Hj6UaE3Xo7Bi0RtM="
VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "secret", "projected"}
"""What a volume of a restricted pod may be."""


def templates(documents: list[Document]) -> list[tuple[Document, Document]]:
    """Return every workload with its pod template."""
    return [(document, document["spec"]["template"]) for document in documents if document["kind"] in WORKLOADS]


def component(template: Document) -> str:
    """Return which part of Qhronos a pod is."""
    return template["metadata"]["labels"].get("app.kubernetes.io/component", "")


def faults(documents: list[Document]) -> Iterator[str]:
    """Yield where a pod does not keep to it."""
    maps: dict[str, dict[str, str]] = {}
    for each in documents:
        if each["kind"] == "ConfigMap":  # one that an overlay merges into another bears its name
            maps.setdefault(each["metadata"]["name"], {}).update(each.get("data", {}))
    for document, template in templates(documents):
        pod, name = template["spec"], component(template)
        found = [*_of_the_pod(pod), *(fault for each in _containers(pod) for fault in _of_a_container(each))]
        if document["kind"] != "Job":
            found += [f"{each['name']} has no {probe}" for each in pod["containers"] for probe in _missing_probes(each)]
        if name in (*SERVICES, "migrate"):
            found += [*_of_ours(pod), *_of_settings(pod["containers"][0], _settings_of(name), maps)]
        if document["kind"] == "Deployment" and _unavailable(document) != 0:
            found.append("a rolling update takes pods away before others are ready")
        yield from (f"{named(document)}: {fault}" for fault in found)


def _containers(pod: Document) -> list[Document]:
    return [*pod["containers"], *pod.get("initContainers", ())]


def _of_the_pod(pod: Document) -> Iterator[str]:
    security = pod.get("securityContext", {})
    if not security.get("runAsNonRoot") or not security.get("runAsUser"):
        yield "may run as root"
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "has no seccomp profile"
    if pod.get("automountServiceAccountToken") is not False or pod.get("serviceAccountName") in (None, "default"):
        yield "gets a token, or shares its account"
    if pod.get("enableServiceLinks") is not False:
        yield "gets variables named for Services, which could be taken for settings"
    if any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
        yield "shares the node's namespaces"
    for volume in pod.get("volumes", ()):
        if not VOLUMES & volume.keys():
            yield f"mounts {volume['name']}, which a restricted pod may not"


def _of_a_container(container: Document) -> Iterator[str]:
    name, security = container["name"], container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
        yield f"{name} may gain privileges"
    if security.get("capabilities", {}) != {"drop": ["ALL"]}:
        yield f"{name} keeps capabilities"
    if security.get("readOnlyRootFilesystem") is not True:
        yield f"{name} can write to its image"
    resources = container.get("resources", {})
    if not {"cpu", "memory"} <= resources.get("requests", {}).keys() or "memory" not in resources.get("limits", {}):
        yield f"{name} does not say what it needs, or has no bound"
    tag = container["image"].rpartition("/")[2].partition("@")[0].partition(":")[2]
    if tag in ("", "latest") and "@sha256:" not in container["image"]:
        yield f"{name} runs whatever is the latest image"


def _missing_probes(container: Document) -> list[str]:
    return [probe for probe in PROBES if probe not in container]


def _of_ours(pod: Document) -> Iterator[str]:
    [container] = pod["containers"]
    if pod["securityContext"].get("runAsUser") != UID:
        yield f"does not run as {UID}, the user of the image"
    if {"name": "tmp", "mountPath": "/tmp"} not in container.get("volumeMounts", ()):
        yield "cannot write to /tmp"
    pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    if pod["terminationGracePeriodSeconds"] <= pause + process.LONGEST_STOP:
        yield f"is killed within {pod['terminationGracePeriodSeconds']} s, while it may take {process.LONGEST_STOP} s"


def _of_settings(container: Document, kind: type[Settings], maps: dict[str, dict[str, str]]) -> Iterator[str]:
    """Yield what its service would not take: a name that it does not read, one it misses, a value that will not do."""
    environment: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        environment |= maps.get(source["configMapRef"]["name"], {})
    for variable in container.get("env", ()):
        environment[variable["name"]] = variable.get("value", A_SECRET)
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference is not None and reference != {"name": SECRET, "key": variable["name"]}:
            yield f"{variable['name']} is not taken from the Secret {SECRET} by its own name"
    known = {PREFIX + field.name.upper() for field in msgspec.structs.fields(kind)}
    for name in sorted(environment.keys() - known):
        yield f"{name} is no setting of it"
    try:
        settings.read(kind, environment)
    except settings.InvalidSettings as error:
        yield str(error)


def _settings_of(name: str) -> type[Settings]:
    if name == "migrate":
        return MigrationSettings
    module = importlib.import_module(f"services.{name}.settings")
    return cast("type[Settings]", getattr(module, f"{name.capitalize()}Settings"))


def _unavailable(deployment: Document) -> Any:
    return deployment["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxUnavailable")
