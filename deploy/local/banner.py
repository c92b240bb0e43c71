"""What a newcomer reads when the run is ready: where everything is, and commands to paste that show it work."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from deploy.local import receiver
from deploy.local.settings import SERVICES, Settings, bracketed


def text(settings: Settings, master_token: str) -> str:
    """Return the banner."""
    authorization = shlex.quote(f"Authorization: Bearer {master_token}")
    event = {"name": "hello", "in": "PT3S", "webhook_url": f"http://127.0.0.1:{receiver.PORT}/hello"}
    host = bracketed(settings.ops_host)
    pages = [f"http://{host}:{settings.ops_port + offset}/metrics ({name})" for offset, name in enumerate(SERVICES)]
    metrics = ("\n" + " " * 16).join(pages)
    return f"""
Qhronos is ready. Ctrl-C stops it.

  API           {settings.base_url}
  docs          {settings.base_url}/docs
  metrics       {metrics}
  data folder   {shown(settings.data)}
  master token  {master_token}

Try it in another terminal, in this folder: a receiver for webhooks, and an event that is due in three seconds.

  {shown(Path(sys.executable))} -m deploy.local.receiver &
  curl -s {settings.base_url}/events -H {authorization} \\
    -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(event))}

What has become of it:

  curl -s {settings.base_url}/occurrences -H {authorization}
"""


def shown(path: Path) -> str:
    """Return `path` as one would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
