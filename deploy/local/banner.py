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
{event(settings.base_url, master_token, f"http://127.0.0.1:{receiver.PORT}/hello")}

What has become of it:

{occurrences(settings.base_url, master_token)}
"""


def event(base_url: str, master_token: str, webhook_url: str) -> str:
    """Return the command that creates an event which is due in three seconds."""
    body = {"name": "hello", "in": "PT3S", "webhook_url": webhook_url}
    return f"""  curl -s {base_url}/events -H {_authorization(master_token)} \\
    -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}"""


def occurrences(base_url: str, master_token: str) -> str:
    """Return the command that lists the occurrences, newest first."""
    return f"  curl -s {base_url}/occurrences -H {_authorization(master_token)}"


def _authorization(master_token: str) -> str:
    return shlex.quote(f"Authorization: Bearer {master_token}")


def shown(path: Path) -> str:
    """Return `path` as one would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
