from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from shared import signing

BODIES = st.text(st.characters(codec="utf-8")).map(str.encode)
KEYS = st.binary(min_size=1, max_size=64)
PLAIN_SECRETS = st.text(st.characters(codec="utf-8"), min_size=16, max_size=255).filter(
    lambda secret: not secret.startswith("whsec_")
)
MESSAGE_IDS = st.uuids().map(str)


def verified(secret: str | bytes, message_id: str, timestamp: int, body: bytes, signature: str) -> None:
    """Let the reference implementation check a signature; it raises when it is wrong."""
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}
    cast("Any", Webhook(secret)).verify(body, headers, json_parse=False)


@given(KEYS, MESSAGE_IDS, BODIES)
def test_the_reference_accepts_the_signature_of_a_whsec_secret(key: bytes, message_id: str, body: bytes) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    now = int(time.time())

    verified(secret, message_id, now, body, signing.standard_signature(secret, message_id, now, body))


@given(PLAIN_SECRETS, MESSAGE_IDS, BODIES)
def test_the_reference_accepts_the_signature_of_a_plain_secret(secret: str, message_id: str, body: bytes) -> None:
    now = int(time.time())

    verified(secret.encode(), message_id, now, body, signing.standard_signature(secret, message_id, now, body))


@given(KEYS, MESSAGE_IDS, BODIES, BODIES)
def test_the_reference_refuses_a_body_that_was_not_signed(
    key: bytes, message_id: str, body: bytes, other: bytes
) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    now = int(time.time())
    signature = signing.standard_signature(secret, message_id, now, body)

    with pytest.raises(WebhookVerificationError):
        verified(secret, message_id, now, body + b"!" + other, signature)


def test_the_reference_refuses_another_secret_another_id_and_another_time() -> None:
    now = int(time.time())
    signature = signing.standard_signature("first secret of all", "one", now, b"{}")

    for secret, message_id, timestamp in [
        (b"other secret of all", "one", now),
        (b"first secret of all", "two", now),
        (b"first secret of all", "one", now + 1),
    ]:
        with pytest.raises(WebhookVerificationError):
            verified(secret, message_id, timestamp, b"{}", signature)


@pytest.mark.parametrize(
    ("secret", "message_id", "timestamp", "body", "expected"),
    [
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1614265330,
            b'{"test": 2432232314}',
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1649367553,
            b'{"email":"test@example.com","username":"test_user"}',
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        ),
    ],
)
def test_the_published_examples_are_reproduced(
    secret: str, message_id: str, timestamp: int, body: bytes, expected: str
) -> None:
    assert signing.standard_signature(secret, message_id, timestamp, body) == expected


@given(PLAIN_SECRETS, st.binary())
def test_the_plain_signature_is_the_hex_hmac_of_the_body(secret: str, body: bytes) -> None:
    assert signing.body_signature(secret, body) == hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@given(KEYS)
def test_a_key_reads_alike_in_ours_and_in_the_reference(key: bytes) -> None:
    text = base64.b64encode(key).decode()

    assert signing.key_of("whsec_" + text) == key == Webhook("whsec_" + text)._whsecret  # pyright: ignore[reportPrivateUsage]
    assert signing.key_of(text) == text.encode()


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("whsec_-_-_-_-_-_-_-_-_", None),
        ("whsec_+/+/+/+/+/+/+/+/", b"\xfb\xff\xbf" * 4),
        ("whsec_YWJjZGVmZ2hpag==", b"abcdefghij"),
        ("whsec_YWJjZGVmZ2hpag", None),
        ("whsec_YWJjZGVmZ2hpag=", None),
        ("whsec_YWJj ZGVmZ2hp", None),
        ("whsec_YWJjZGVmZ2hp\n", None),
        ("WHSEC_YWJjZGVmZ2hp", None),
        ("whsec_whsec_YWJjZGVm", None),
        ("Schlüssel für Gießkannen 🌱", None),
        ("whsec_größenwahnsinnig", None),
    ],
)
def test_only_plain_whole_base64_behind_the_prefix_is_decoded(secret: str, key: bytes | None) -> None:
    assert signing.key_of(secret) == (key or secret.encode())


@pytest.mark.parametrize("secret", ["whsec_", "whsec_not base64!", "whsec_abc", "whsec_ümlaut-in-the-secret"])
def test_a_prefix_without_base64_behind_it_is_part_of_the_secret(secret: str) -> None:
    assert signing.key_of(secret) == secret.encode()


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_every_secret_has_a_key(secret: str) -> None:
    assert signing.key_of(secret)
    assert signing.key_of("whsec_" + secret)
