"""Settings from the environment and an optional `.env`: the one place that reads either.

A settings struct names what a process needs; field `redis_url` is read from `QHRONOS_REDIS_URL`.
"""

from __future__ import annotations

import base64
import binascii
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Literal, TypeVar, cast, get_type_hints

import msgspec
from dotenv import dotenv_values
from msgspec import Meta

from shared.domain import durations

PREFIX = "QHRONOS_"
BUILT_IN_HMAC_SECRET = "qhronos.io"  # noqa: S105 - public by design, refused in production
SHORTEST_SECRETS = {"master_token": 16, "jwt_secret": 32, "default_hmac_secret": 16}

Environment = Literal["production", "local", "test"]
Networks = tuple[IPv4Network | IPv6Network, ...]
Keys = tuple[bytes, ...]
"""The first seals, all open."""
Secrets = tuple[str, ...]
"""The first signs, all verify; at least one."""

_MAY_BE_EMPTY = (Networks, timedelta | None)
_EXAMPLES = ("changeme", "change-me", "change_me", "example", "placeholder", "insecure", "your-", "your_")
_FEWEST_DIFFERENT = 6
_KEY_BYTES = 32


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What every process knows."""

    env: Environment = "production"
    traces_url: Annotated[str, Meta(pattern=r"^https?://")] | None = None
    """Of a collector that takes OTLP over HTTP; None: no traces."""
    traces_share: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """Of all occurrences, how many are traced."""

    def __repr__(self) -> str:
        """Show none of the secrets, and none of the URLs, which may hold passwords."""
        return f"{type(self).__name__}(env={self.env!r})"


class InvalidSettings(Exception):
    """One line for each setting that is missing or wrong."""


S = TypeVar("S", bound=Settings)


def load(kind: type[S]) -> S:
    """Return the settings of this process, or end it with a message that names every wrong one."""
    try:
        return read(kind, {**_dotenv(), **os.environ})
    except InvalidSettings as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None


def read(kind: type[S], environ: Mapping[str, str]) -> S:
    """Convert the variables that `kind` names; InvalidSettings when any of them will not do."""
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in msgspec.structs.fields(kind):
        name = PREFIX + field.name.upper()
        raw = environ.get(name)
        if raw is None or (raw == "" and hints[field.name] not in _MAY_BE_EMPTY):
            if field.required:
                problems.append(f"{name} is not set.")
            continue
        try:
            values[field.name] = _convert(raw, hints[field.name])
        except ValueError as error:
            problems.append(f"{name} is not usable: {error}")
    secrets = {f.name: values.get(f.name, f.default) for f in msgspec.structs.fields(kind)}
    if values.get("env", "production") == "production":
        problems += [f"{PREFIX}{name.upper()} {problem}" for name, problem in _weak_secrets(secrets)]
    if not problems:
        return kind(**values)
    raise InvalidSettings("Qhronos cannot start:\n  " + "\n  ".join(problems) + "\n.env.example lists every setting.")


def _convert(raw: str, kind: object) -> object:
    if kind == timedelta | None and raw == "":
        return None
    if kind in (timedelta, timedelta | None):
        return durations.parse(raw)
    if kind == Networks:
        return tuple(ip_network(part.strip()) for part in raw.split(",") if part.strip())
    if kind == Secrets:
        return _secrets(raw)
    if kind == Keys:
        return tuple(_key(part.strip(), number) for number, part in enumerate(raw.split(","), 1))
    return msgspec.convert(raw, kind, strict=False)


def _secrets(raw: str) -> Secrets:
    found = tuple(part.strip() for part in raw.split(",") if part.strip())
    if not found:
        raise ValueError("it names no secret; try `openssl rand -base64 32`.")
    return found


def _key(text: str, number: int) -> bytes:
    """Read a key of 32 bytes in either alphabet of base64; the error never repeats it."""
    try:
        key = base64.b64decode(text.rstrip("=").replace("-", "+").replace("_", "/") + "=", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError(f"key {number} is not 32 bytes in base64; try `openssl rand -base64 32`.")
    if len(set(key)) < _FEWEST_DIFFERENT:
        raise ValueError(f"key {number} looks like an example; try `openssl rand -base64 32`.")
    return key


def _weak_secrets(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Find secrets that are too short or are known examples."""
    found: list[tuple[str, str]] = []
    for name, shortest in SHORTEST_SECRETS.items():
        value = values.get(name)
        secrets = cast("Secrets", value) if isinstance(value, tuple) else (value,)
        for number, secret in enumerate(secrets, 1):
            weakness = _weakness(secret, shortest=shortest) if isinstance(secret, str) else None
            if weakness:
                which = "" if len(secrets) == 1 else f"holds a secret, number {number}, that "
                found.append((name, which + weakness))
    return found


def _weakness(secret: str, *, shortest: int) -> str | None:
    if secret == BUILT_IN_HMAC_SECRET:
        return "still has its built-in value; set a secret of your own."
    if len(secret) < shortest:
        return f"is shorter than {shortest} characters."
    if any(word in secret.lower() for word in _EXAMPLES) or len(set(secret)) < _FEWEST_DIFFERENT:
        return "looks like an example; try `openssl rand -base64 32`."
    return None


def _dotenv() -> dict[str, str]:
    return {name: value for name, value in dotenv_values(".env").items() if value is not None}
