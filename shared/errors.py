"""The facts that can stop a request or a pass, one class each.

QhronosError
├── Invalid                 well-formed input that breaks a rule; carries every field error at once
│   └── InvalidSchedule     a recurrence rule or its zone, with the offending part
├── Malformed               not even JSON, or a broken header
├── UnsupportedMediaType    a body that does not say that it is JSON
├── TooSlow                 a body that did not come in time
├── Unauthenticated         no token, or one that is not good (any more)
├── Forbidden               a good token that may not do this
├── NotFound                unknown, or out of the caller's sight
├── PreconditionFailed      `If-Match` names a version that is not the current one
├── Conflict                the state of the thing does not allow it
│   └── AlreadyExists       the creator has another event with this `external_id`
├── QuotaExceeded           more in a short time than one `sub` may do; says when to come again
├── BodyTooLarge            a body that is larger, filled in, than what is sent
├── SecretUnreadable        a secret that is sealed with a key that is not set
└── Unavailable             PostgreSQL or Redis is out of reach
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec


class FieldError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing wrong with one input, and how to repair it."""

    pointer: str
    """A JSON pointer into the body (`/schedule`), or the name of a parameter."""
    message: str
    hint: str | None = None
    example: Any = None


MOST_ERRORS = 100
"""What one answer shows: a small body can hold a great many."""


class QhronosError(Exception):
    """Any failure that this project names."""

    code = "internal_error"


class Invalid(QhronosError):
    """Well-formed input that breaks a rule."""

    code = "validation_failed"

    def __init__(self, errors: list[FieldError], *, code: str | None = None) -> None:
        """Those beyond `MOST_ERRORS` are left out, with a word about it."""
        if len(errors) > MOST_ERRORS:
            message = f"Only the first {MOST_ERRORS} errors are shown."
            hint = "Repair these first: what is behind them may not have been looked at yet."
            errors = [*errors[:MOST_ERRORS], FieldError(pointer="", message=message, hint=hint)]
        super().__init__("; ".join(f"{error.pointer or 'body'}: {error.message}" for error in errors))
        self.errors = errors
        if code:
            self.code = code


class InvalidSchedule(QhronosError):
    """A recurrence that cannot be honoured.

    `part` names what is wrong (`BYDAY`, `UNTIL`, `timezone`); `hint` and `example` say what would pass.
    """

    code = "invalid_schedule"

    def __init__(self, message: str, *, part: str, hint: str, example: Any, code: str | None = None) -> None:  # noqa: ANN401 - JSON
        super().__init__(message)
        self.part = part
        self.hint = hint
        self.example = example
        if code:
            self.code = code

    def at(self, pointer: str) -> FieldError:
        """Return this as the error of the input that `pointer` names."""
        return FieldError(pointer=pointer, message=str(self), hint=self.hint, example=self.example)


class Malformed(QhronosError):
    """Input that is not even JSON, or a header that cannot be read."""

    code = "malformed_request"


class TooSlow(QhronosError):
    """A body that did not come in time."""

    code = "request_timeout"


class UnsupportedMediaType(QhronosError):
    """A body that does not say that it is JSON."""

    code = "unsupported_media_type"


class Unauthenticated(QhronosError):
    """No token, or one that is malformed, expired or revoked."""

    code = "unauthenticated"


class Forbidden(QhronosError):
    """A good token that does not allow this."""

    code = "forbidden"

    def __init__(self, message: str, *, code: str | None = None, errors: Sequence[FieldError] = ()) -> None:
        """`errors` name what stands in the way."""
        super().__init__(message)
        self.errors = list(errors)
        if code:
            self.code = code


class NotFound(QhronosError):
    """Nothing with this id that the caller may see."""

    code = "not_found"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code:
            self.code = code


class PreconditionFailed(QhronosError):
    """`If-Match` names a version that is not the current one."""

    code = "precondition_failed"


class Conflict(QhronosError):
    """The thing is in a state that does not allow this."""

    code = "conflict"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code:
            self.code = code


class AlreadyExists(Conflict):
    """The creator has another live event with this `external_id`."""

    code = "already_exists"

    def __init__(self, holders: Mapping[str, UUID | None]) -> None:
        """`holders` are the ids of the events in the way, by where theirs stand in the request; None: just gone."""
        super().__init__(f"Another event has this `external_id` already: {', '.join(holders)}.")
        self.existing_id = next(iter(holders.values()))
        self.errors = [
            FieldError(
                pointer=place,
                message=f"The event {holder} has this `external_id`." if holder else "This `external_id` is in use.",
                hint="Change that event, delete it, or take another `external_id`.",
            )
            for place, holder in holders.items()
        ]


class QuotaExceeded(QhronosError):
    """More in a short time than one `sub` may do."""

    code = "quota_exceeded"

    def __init__(self, message: str, *, retry_after: int, errors: Sequence[FieldError] = ()) -> None:
        """`retry_after` is in seconds; `errors` name what stands in the way."""
        super().__init__(message)
        self.errors = list(errors)
        self.retry_after = retry_after


class BodyTooLarge(QhronosError):
    """A body that is larger, with its values filled in, than what is sent."""


class SecretUnreadable(QhronosError):
    """A secret that is sealed, for another event or with a key that is not set."""
