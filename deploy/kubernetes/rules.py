"""Make the PrometheusRule of deploy/monitoring/alerts.yml: `python3 -m deploy.kubernetes.rules`.

Kustomize cannot put one file into another. The rules are written in one place only; a test holds the copy to it.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

ALERTS = Path(__file__).parents[1] / "monitoring" / "alerts.yml"
RULE = Path(__file__).parent / "components" / "monitoring" / "prometheus-rule.yaml"

HEAD = """\
# Made of deploy/monitoring/alerts.yml by `python3 -m deploy.kubernetes.rules`: change that file, not this one.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: qhronos
spec:
"""


def main() -> None:
    """Write it anew."""
    RULE.write_text(HEAD + indent(ALERTS.read_text(), "  "))


if __name__ == "__main__":
    main()
