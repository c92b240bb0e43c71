"""Hold each document to the schema of its kind, for the oldest Kubernetes that will do and for the newest one known."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import kubernetes_validate  # pyright: ignore[reportMissingTypeStubs]
import msgspec

from tests.kubernetes import custom
from tests.kubernetes.documents import Document, named

VERSIONS = ("1.31", "1.37")


def faults(documents: list[Document]) -> Iterator[str]:
    """Yield what no API server would take, or would silently drop."""
    for document in documents:
        spec = custom.SPECS.get((document["apiVersion"], document["kind"]))
        if spec is not None:
            if problem := custom.fault(document, spec):
                yield f"{named(document)}: {problem}"
        else:
            yield from _of_a_built_in(msgspec.json.encode(document))


@cache
def _of_a_built_in(encoded: bytes) -> list[str]:
    """Return the faults of a document that may have been looked at already: it takes 20 ms for each version."""
    document: Document = msgspec.json.decode(encoded)
    return [fault for version in VERSIONS for fault in _faults(document, version)]


def _faults(document: Document, version: str) -> Iterator[str]:
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        where = ".".join(str(part) for part in error.absolute_path)
        yield f"{named(document)}: {where}: {error.message} (Kubernetes {version})"
    except kubernetes_validate.SchemaNotFoundError:
        yield f"{named(document)}: there is no such kind (Kubernetes {version})"
