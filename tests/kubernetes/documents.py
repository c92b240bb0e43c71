"""Read manifests and kustomizations. Nothing is rendered: patches, images and replicas are for `kubectl kustomize`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import yaml
from dotenv import dotenv_values

Document = dict[str, Any]

ROOT = Path(__file__).parents[2] / "deploy" / "kubernetes"


def read(text: str) -> list[Document]:
    """Return the documents of a YAML stream, without empty ones."""
    return [document for document in yaml.safe_load_all(text) if document]


def folders() -> list[Path]:
    """Return every folder that is a kustomization or a component."""
    return sorted(path.parent for path in ROOT.rglob("kustomization.yaml"))


def kustomization(folder: Path) -> Document:
    """Return what a folder's kustomization.yaml says."""
    return cast("Document", yaml.safe_load((folder / "kustomization.yaml").read_text()))


def references(folder: Path) -> list[Path]:
    """Return the files and folders that make up a kustomization, whether or not they are there."""
    stated = kustomization(folder)
    generated = [env for generator in stated.get("configMapGenerator", ()) for env in generator.get("envs", ())]
    patches = [patch["path"] for patch in stated.get("patches", ()) if "path" in patch]
    return [folder / name for name in [*_parts(stated), *generated, *patches]]


def gathered(folder: Path) -> list[Document]:
    """Return all documents of a kustomization and of what it stands on, with the ConfigMaps that it generates."""
    return [document for part in _stands_on(folder) for document in _own(part)]


def named(document: Document) -> str:
    """Return what a fault calls it."""
    return f"{document['kind']} {document['metadata']['name']}"


def _parts(stated: Document) -> list[str]:
    return [*stated.get("resources", ()), *stated.get("components", ())]


def _stands_on(folder: Path) -> Iterator[Path]:
    for name in _parts(kustomization(folder)):
        if (folder / name).is_dir():
            yield from _stands_on((folder / name).resolve())
    yield folder


def _own(folder: Path) -> list[Document]:
    stated = kustomization(folder)
    files = [folder / name for name in _parts(stated) if not (folder / name).is_dir()]
    maps = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": generator["name"]},
            "data": _data(folder, generator),
        }
        for generator in stated.get("configMapGenerator", ())
    ]
    return [document for file in files for document in read(file.read_text())] + maps


def _data(folder: Path, generator: Document) -> dict[str, str]:
    found: dict[str, str] = dict(literal.split("=", 1) for literal in generator.get("literals", ()))
    for name in generator.get("envs", ()):
        found |= {key: value or "" for key, value in dotenv_values(folder / name, interpolate=False).items()}
    return found
