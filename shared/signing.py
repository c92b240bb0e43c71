"""The two signatures of a webhook: Standard Webhooks' `v1` and the plain `X-Qhronos-Signature`.

Both are computed over exactly the bytes that are sent.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from functools import lru_cache
from hashlib import sha256

_PREFIX = "whsec_"


@lru_cache(maxsize=4096)
def key_of(secret: str) -> bytes:
    """Return the key bytes of a secret.

    Those behind a `whsec_` prefix in base64, where the secret has one and decodes; else its UTF-8 bytes.
    """
    if secret.startswith(_PREFIX):
        try:
            decoded = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            decoded = b""
        if decoded:
            return decoded
    return secret.encode()


def standard_signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return `v1,<base64>` over `{id}.{timestamp}.{body}` (Standard Webhooks 1.0; `timestamp` in Unix seconds)."""
    content = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), content, sha256)).decode()


def body_signature(secret: str, body: bytes) -> str:
    """Return the hex HMAC-SHA256 of the raw body."""
    return hmac.digest(key_of(secret), body, sha256).hex()
