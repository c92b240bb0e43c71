"""Complete `.env` with what Compose needs and nobody has set: made once, for our eyes only, and never changed after."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from deploy.local import secrets_file
from shared.settings import BUILT_IN_HMAC_SECRET

SECRETS = {
    "POSTGRES_PASSWORD": "postgres_password",
    "QHRONOS_MASTER_TOKEN": "master_token",
    "QHRONOS_JWT_SECRET": "jwt_secret",
    "QHRONOS_DEFAULT_HMAC_SECRET": "default_hmac_secret",
    "QHRONOS_ENCRYPTION_KEYS": "encryption_key",
}
"""And the names under which the local run keeps them too: it reads `.env`, so both must open what either has sealed."""

PROJECT = {"COMPOSE_PROJECT_NAME": "qhronos"}


def missing_from(values: Mapping[str, str], data: Path) -> dict[str, str]:
    """Return what has to be added to the values, with secrets kept in the data folder.

    The built-in secret of `.env.example` counts as none: in production no service starts with it.
    """
    absent = [name for name in (*PROJECT, *SECRETS) if values.get(name, "") in ("", BUILT_IN_HMAC_SECRET)]
    return {name: PROJECT.get(name) or secrets_file.kept(data, SECRETS[name]) for name in absent}


def add(path: Path, missing: Mapping[str, str]) -> None:
    """Write the missing values behind all others, where they win over blank ones, into a file that only we can read."""
    if not missing:
        return
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        path.chmod(0o600)
        text = file.read()
        separator = "" if not text or text.endswith("\n") else "\n"
        file.write(separator + "".join(f"{name}={value}\n" for name, value in missing.items()))
