"""Judge what an overlay comes to: `kubectl kustomize deploy/kubernetes/overlays/demo | python -m tests.kubernetes`."""

from __future__ import annotations

import sys

from tests.kubernetes import documents, pods, schemas, wiring


def main() -> int:
    """Write every fault on a line of its own; 1 when there is any."""
    rendered = documents.read(sys.stdin.read())
    found = [
        fault
        for judge in (schemas.faults, pods.faults, wiring.faults, wiring.scaling_faults)
        for fault in judge(rendered)
    ]
    sys.stdout.write("".join(f"{fault}\n" for fault in found) or f"{len(rendered)} documents, no fault\n")
    return 1 if found or not rendered else 0


if __name__ == "__main__":
    sys.exit(main())
