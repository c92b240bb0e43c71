"""Keep the secrets that the local run makes for itself: made once, the same after every restart, for our eyes only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from deploy.local import folders


def kept(data: Path, name: str) -> str:
    """Return the secret called `name` of this data folder, made at the first call: 32 bytes in base64."""
    path = folders.private(data / "secrets", None) / name
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        unfinished.rename(path)
    return path.read_text().strip()
