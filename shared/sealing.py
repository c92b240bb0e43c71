"""Seal the secrets of events for the database: AES-256-GCM, under keys that only the processes know.

A seal holds for one event: copied to another, it does not open. What bears no mark of ours is a secret as it was
written, from before there was a key.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.domain.ids import EventId
from shared.errors import SecretUnreadable

_SEALED = "sealed.1."
"""Before the base64 of nonce and ciphertext."""
_PLAIN = "plain.1."
"""Before a secret that is not sealed and would itself look marked."""
_NONCE_BYTES = 12


class Seals:
    """The first key seals, and every key opens, so that a new one can be put first while the old ones are still needed.

    Without a key secrets are stored as they are.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = [AESGCM(key) for key in keys]

    def seal(self, secret: str, event_id: EventId) -> str:
        """Return what to store of a secret."""
        if not self._ciphers:
            return _PLAIN + secret if secret.startswith((_SEALED, _PLAIN)) else secret
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._ciphers[0].encrypt(nonce, secret.encode(), event_id.bytes)
        return _SEALED + base64.b64encode(sealed).decode()

    def open(self, stored: str, event_id: EventId) -> str:
        """Return the secret; SecretUnreadable when it is sealed and no key that is set opens it."""
        if not stored.startswith(_SEALED):
            return stored.removeprefix(_PLAIN)
        try:
            sealed = base64.b64decode(stored.removeprefix(_SEALED), validate=True)
        except ValueError:
            sealed = b""
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(nonce, ciphertext, event_id.bytes).decode()
            except (InvalidTag, ValueError):
                continue
        raise SecretUnreadable(f"the event's secret is sealed, and none of the {len(self._ciphers)} keys here opens it")
