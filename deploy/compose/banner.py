"""What a newcomer reads when the containers are ready: where everything is, and commands to paste that show it work."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.local import banner
from deploy.local.receiver import PORT


def text(base_url: str, master_token: str, compose: Sequence[str]) -> str:
    """Return the banner; `compose` is the command that Compose is here."""
    program = " ".join(compose)
    return f"""
Qhronos is ready. `make down` stops it; its data stays.

  API           {base_url}
  docs          {base_url}/docs
  master token  {master_token}

Try it in another terminal, in this folder: let webhooks reach the private networks of this machine's containers until
the next `make up`, start a receiver for webhooks, and create an event that is due in three seconds.

  make up QHRONOS_EGRESS_ALLOW=172.16.0.0/12,192.168.0.0/16
  {program} --profile try up --detach --no-deps receiver
{banner.event(base_url, master_token, f"http://receiver:{PORT}/hello")}
  {program} --profile try logs receiver

What has become of it:

{banner.occurrences(base_url, master_token)}
"""
