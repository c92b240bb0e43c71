"""Small readers of query parameters."""

from __future__ import annotations


def names(text: str | None) -> list[str] | None:
    """Split names at commas; None stays None."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
