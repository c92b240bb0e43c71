"""The manifests: whole, valid, within the rules that every pod keeps to, and in agreement with the code."""

from __future__ import annotations

import re
from collections.abc import Iterable
from copy import deepcopy
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from deploy.kubernetes import rules
from services.api.settings import ApiSettings
from services.dispatcher.settings import DispatcherSettings
from services.scheduler.settings import SchedulerSettings
from shared import settings
from shared.domain import egress
from shared.settings import PREFIX, Settings
from shared.version import VERSION
from tests.kubernetes import documents, pods, schemas, wiring
from tests.kubernetes.documents import ROOT, Document

BASE = documents.gathered(ROOT / "base")
WHOLE = [ROOT / "base", *sorted((ROOT / "overlays").iterdir())]
KINDS = [ApiSettings, SchedulerSettings, DispatcherSettings]
GIVEN = dict.fromkeys(
    map(PREFIX.__add__, ["DATABASE_URL", "REDIS_URL", "MASTER_TOKEN", "JWT_SECRET", "DEFAULT_HMAC_SECRET"]),
    pods.A_SECRET,
)

SIXTOFOUR = ip_network("2002::/16")
UNICAST = ip_network("2000::/3")

ABSENT = object()


def label(folder: Path) -> str:
    return str(folder.relative_to(ROOT))


def found(document_name: str, of: list[Document]) -> Document:
    [document] = [each for each in of if documents.named(each) == document_name]
    return document


def at(value: Any, path: Iterable[str]) -> Any:
    """Follow the parts of a JSON pointer."""
    found = value
    for part in path:
        found = found[int(part) if part.isdecimal() else part]
    return found


BLOCKS = [to["ipBlock"] for to in found("NetworkPolicy dispatcher-to-internet", BASE)["spec"]["egress"][0]["to"]]


class TestTheFiles:
    @pytest.mark.parametrize("folder", documents.folders(), ids=label)
    def test_whatever_a_kustomization_names_is_there(self, folder: Path) -> None:
        assert [path for path in documents.references(folder) if not path.exists()] == []

    def test_every_file_belongs_to_a_kustomization(self) -> None:
        named = {path.resolve() for folder in documents.folders() for path in documents.references(folder)}
        written = {path for pattern in ("*.yaml", "*.env") for path in ROOT.rglob(pattern)}

        assert {path for path in written - named if path.name != "kustomization.yaml"} == set()

    @pytest.mark.parametrize("folder", documents.folders(), ids=label)
    def test_a_patch_changes_something_that_is_there(self, folder: Path) -> None:
        everything = documents.gathered(ROOT / "overlays" / "production-keda") + documents.gathered(folder)
        for patch in documents.kustomization(folder).get("patches", ()):
            operations = yaml.safe_load(patch["patch"] if "patch" in patch else (folder / patch["path"]).read_text())
            target = patch["target"]
            meant = [
                each
                for each in everything
                if each["kind"] == target["kind"]
                and each["metadata"]["name"] == target.get("name", each["metadata"]["name"])
            ]
            assert meant, target
            for operation in operations:
                *parents, last = [part.replace("~1", "/") for part in operation["path"].split("/")[1:]]
                where = at(meant[0], parents)
                assert operation["op"] == "add" or last in where, operation

    def test_an_image_that_an_overlay_names_is_one_of_the_base(self) -> None:
        used = {
            container["image"].partition(":")[0]
            for _, template in pods.templates(BASE)
            for container in template["spec"]["containers"]
        }
        for folder in WHOLE:
            assert {image["name"] for image in documents.kustomization(folder).get("images", ())} <= used


class TestTheRules:
    @pytest.mark.parametrize("folder", documents.folders(), ids=label)
    def test_every_document_is_valid(self, folder: Path) -> None:
        assert list(schemas.faults(documents.gathered(folder))) == []

    @pytest.mark.parametrize("folder", WHOLE, ids=label)
    def test_every_pod_keeps_to_them(self, folder: Path) -> None:
        assert list(pods.faults(documents.gathered(folder))) == []

    @pytest.mark.parametrize("folder", WHOLE, ids=label)
    def test_what_names_something_else_finds_it(self, folder: Path) -> None:
        assert list(wiring.faults(documents.gathered(folder))) == []

    def test_the_number_of_a_workload_has_one_owner(self) -> None:
        assert list(wiring.scaling_faults(BASE)) == []

    @pytest.mark.parametrize(
        ("name", "path", "value", "fault"),
        [
            ("Deployment api", "spec/template/spec/securityContext/runAsNonRoot", False, "may run as root"),
            ("Deployment api", "spec/template/spec/securityContext/runAsUser", 1000, "user of the image"),
            ("Deployment api", "spec/template/spec/securityContext/seccompProfile", ABSENT, "seccomp"),
            ("Deployment api", "spec/template/spec/automountServiceAccountToken", ABSENT, "token"),
            ("Deployment api", "spec/template/spec/enableServiceLinks", ABSENT, "could be taken for settings"),
            ("Deployment api", "spec/template/spec/hostNetwork", True, "node's namespaces"),
            ("Deployment api", "spec/template/spec/volumes/0", {"name": "x", "hostPath": {"path": "/"}}, "mounts x"),
            ("Deployment api", "spec/template/spec/terminationGracePeriodSeconds", 35, "is killed within 35 s"),
            ("Deployment api", "spec/template/spec/containers/0/image", "qhronos-api", "latest"),
            ("Deployment api", "spec/template/spec/containers/0/image", "a.example:80/api:latest", "latest"),
            ("Deployment api", "spec/template/spec/containers/0/livenessProbe", ABSENT, "has no livenessProbe"),
            ("Deployment api", "spec/template/spec/containers/0/readinessProbe/httpGet/port", "web", "a port web"),
            ("Deployment api", "spec/template/spec/containers/0/resources/limits", ABSENT, "no bound"),
            ("Deployment api", "spec/template/spec/containers/0/volumeMounts", [], "cannot write to /tmp"),
            ("Deployment api", "spec/template/spec/containers/0/env/0/name", "QHRONOS_DB", "QHRONOS_DB is no setting"),
            ("Deployment api", "spec/template/spec/containers/0/env/0/name", "QHRONOS_DB", "DATABASE_URL is not set"),
            ("Deployment api", "spec/template/spec/containers/0/envFrom/0/configMapRef/name", "x", "no ConfigMap x"),
            ("Deployment api", "spec/template/spec/containers/0/securityContext/capabilities", ABSENT, "capabilities"),
            (
                "Deployment api",
                "spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem",
                0,
                "can write",
            ),
            ("Deployment api", "spec/template/spec/containers/0/securityContext/privileged", True, "gain privileges"),
            ("Deployment api", "spec/template/spec/containers/0/portz", [], "'portz' was unexpected"),
            ("Deployment api", "spec/strategy", ABSENT, "takes pods away"),
            ("Deployment api", "spec/replicas", 2, "HorizontalPodAutoscaler api decides"),
            (
                "Deployment dispatcher",
                "spec/template/spec/containers/0/envFrom/0/configMapRef/name",
                "api",
                "no setting",
            ),
            ("ConfigMap scheduler", "data/QHRONOS_RETENTION", "90", "QHRONOS_RETENTION is not usable"),
            ("Service api", "spec/ports/0/targetPort", "web", "api has no port web"),
            ("PodDisruptionBudget api", "spec/selector/matchLabels", {"app": "api"}, "no pod is meant"),
            ("NetworkPolicy default-deny", "spec/policyTypes", ["Ingress"], "no NetworkPolicy closes"),
            ("NetworkPolicy monitoring-to-ops", "spec/ingress/0/ports/0/port", "metrics", "has no port metrics"),
            ("Namespace qhronos", "metadata/labels", {}, "not restricted"),
            ("ServiceAccount api", "automountServiceAccountToken", ABSENT, "mounts a token"),
            ("HorizontalPodAutoscaler api", "spec/scaleTargetRef/name", "web", "no web to scale"),
        ],
    )
    def test_whoever_breaks_one_is_told(self, name: str, path: str, value: object, fault: str) -> None:
        broken = deepcopy(BASE)
        *parents, last = path.split("/")
        where = at(found(name, broken), parents)
        if value is ABSENT:
            del where[last]
        else:
            where[int(last) if isinstance(where, list) else last] = value

        faults = [
            each
            for judge in (schemas.faults, pods.faults, wiring.faults, wiring.scaling_faults)
            for each in judge(broken)
        ]

        assert any(fault in each for each in faults), faults

    def test_a_custom_resource_with_a_misspelt_field_is_not_valid(self) -> None:
        [monitor] = documents.read((ROOT / "components/monitoring/service-monitor.yaml").read_text())
        monitor["spec"]["endpoints"][0]["intervall"] = "15s"

        assert [each for each in schemas.faults([monitor]) if "intervall" in each]


class TestInAgreementWithTheCode:
    def test_the_images_are_of_this_version(self) -> None:
        images = [template["spec"]["containers"][0]["image"] for _, template in pods.templates(BASE)]

        assert {image.partition(":")[2] for image in images} == {VERSION}

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_setting_that_stands_there_has_the_default_that_the_service_has(self, kind: type[Settings]) -> None:
        written = {key: value for each in BASE if each["kind"] == "ConfigMap" for key, value in each["data"].items()}
        read = settings.read(kind, {**GIVEN, **written})

        for field in msgspec.structs.fields(kind):
            if PREFIX + field.name.upper() in written:
                assert getattr(read, field.name) == field.default

    def test_the_rules_of_the_operator_are_those_of_prometheus(self) -> None:
        [rule] = documents.read(rules.RULE.read_text())

        assert rule["spec"] == yaml.safe_load(rules.ALERTS.read_text()), "run `python3 -m deploy.kubernetes.rules`"

    def test_what_the_operator_scrapes_has_the_job_that_alerts_ask_for(self) -> None:
        [monitor] = documents.read((ROOT / "components/monitoring/service-monitor.yaml").read_text())
        scraped = [each for each in BASE if each["kind"] == "Service" and each["spec"]["ports"][0]["name"] == "ops"]
        jobs = {each["metadata"]["labels"][monitor["spec"]["jobLabel"]] for each in scraped}

        [asked_for] = set(re.findall(r'job=~"(.*?)"', rules.ALERTS.read_text()))
        assert len(scraped) == len(pods.SERVICES)
        assert [job for job in jobs if not re.fullmatch(asked_for, job)] == []

    def test_the_secret_that_the_guide_makes_has_what_the_pods_take_from_it(self) -> None:
        guide = (ROOT.parent / "README.md").read_text()
        blocks = re.findall(r"create secret generic qhronos .*?<<END\n(.*?)\nEND\n", guide, re.DOTALL)
        made = [{line.partition("=")[0] for line in block.splitlines()} for block in blocks]

        assert made == [taken_from_the_secret(ROOT / "overlays" / name) for name in ("demo", "production")]

    def test_the_guide_names_only_what_is_there(self) -> None:
        guide = (ROOT.parent / "README.md").read_text()
        paths = re.findall(r"deploy/kubernetes/[\w./-]*\w", guide)

        assert len(paths) >= 5
        assert [path for path in paths if not (ROOT.parents[1] / path).exists()] == []


def taken_from_the_secret(folder: Path) -> set[str]:
    return {
        variable["valueFrom"]["secretKeyRef"]["key"]
        for _, template in pods.templates(documents.gathered(folder))
        for container in template["spec"]["containers"]
        for variable in container.get("env", ())
        if "valueFrom" in variable
    }


class TestWhoMayLeave:
    """Webhooks leave from dispatchers only, and to public addresses only."""

    def permits(self, address: egress.Address) -> bool:
        return any(
            address in ip_network(block["cidr"]) and not any(address in ip_network(each) for each in block["except"])
            for block in BLOCKS
        )

    def test_only_dispatchers_may_and_all_may_ask_for_names(self) -> None:
        egresses = [each for each in BASE if each["kind"] == "NetworkPolicy" and each["spec"].get("egress")]

        assert [documents.named(each).split()[1] for each in egresses] == ["all-to-dns", "dispatcher-to-internet"]
        assert egresses[1]["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "dispatcher"

    @example(ip_address("168.63.129.16"))
    @example(ip_address("192.88.99.1"))
    @given(st.ip_addresses())
    def test_what_the_policy_lets_out_the_guard_would_connect_to(self, address: egress.Address) -> None:
        assert egress.is_allowed(address, ()) or not self.permits(address)

    @given(st.ip_addresses())
    def test_what_the_guard_would_connect_to_the_policy_lets_out(self, address: egress.Address) -> None:
        hidden = address.version == 6 and (address in SIXTOFOUR or address not in UNICAST)

        assert self.permits(address) or hidden or not egress.is_allowed(address, ())

    def test_the_edges_of_every_exception_are_closed_for_both(self) -> None:
        for block in BLOCKS:
            for each in map(ip_network, block["except"]):
                for address in (each[0], each[-1]):
                    assert not self.permits(address), address
                    assert each == SIXTOFOUR or not egress.is_allowed(address, ()), address
