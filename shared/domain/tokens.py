"""Who may call, and what they may do and see."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from shared.domain.ids import TokenId

Access = Literal["read", "write", "read_write", "admin"]


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a token; its text is shown once and never stored."""

    id: TokenId
    sub: str
    access: Access
    scope: tuple[str, ...]
    expires_at: datetime
    created_at: datetime
    revoked_at: datetime | None = None
