"""Cursors of lists: where a page ended, as text that means nothing to a client."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.errors import FieldError, Invalid

T = TypeVar("T")
TimeAndId = tuple[datetime, UUID]
TimeAndText = tuple[datetime, Annotated[str, Meta(max_length=64, pattern=r"^[^\x00]*$")]]
TimeAndNumber = tuple[datetime, Annotated[int, Meta(ge=0, le=2**63 - 1)]]
Number = tuple[Annotated[int, Meta(ge=0, le=2**31 - 1)]]
Id = UUID


def encode(position: TimeAndId | TimeAndText | TimeAndNumber | Number | Id) -> str:
    """Return the cursor for what comes after `position`."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(position)).decode().rstrip("=")


def decode(cursor: str | None, kind: type[T]) -> T | None:
    """Return the position that a cursor stands for; Invalid when it is broken."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return msgspec.msgpack.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=kind)
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        hint = "Send `next_cursor` of the page before as it was, or leave the parameter out to begin anew."
        raise Invalid([FieldError(pointer="cursor", message="The cursor is broken.", hint=hint)]) from None
