"""Read many new events at once, with the errors of all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import msgspec

from services.api import decoding, drafts
from services.api.callers import Caller
from services.api.drafts import Draft
from services.api.settings import ApiSettings
from shared.domain.content import Json
from shared.errors import MOST_ERRORS, FieldError, Forbidden, Invalid

MOST = 1000
TURN = 4
"""So few events are read, planned or answered before other requests have their turn."""


class _Given(msgspec.Struct, frozen=True, kw_only=True):
    events: list[Json]


async def turns(number: int) -> None:
    """Let other requests have their turn before event number `number`, now and then."""
    if number % TURN == 0:
        await asyncio.sleep(0)


def events_of(document: Mapping[str, Json]) -> list[Json]:
    """Return what is to become events; Invalid when it is not a list of 1 to 1000."""
    given = decoding.into(_Given, document).events
    if not 1 <= len(given) <= MOST:
        message = f"There are {len(given)} events; 1 to {MOST} are allowed."
        raise Invalid([FieldError(pointer="/events", message=message, hint="Send them in several requests.")])
    return given


async def read(given: Sequence[Json], *, now: datetime, config: ApiSettings) -> list[Draft]:
    """Return what the documents describe; Invalid with all that is wrong with them, or `MOST_ERRORS` of it."""
    found: list[Draft] = []
    errors: list[FieldError] = []
    codes: set[str] = set()
    for number, document in enumerate(given):
        await turns(number)
        try:
            found.append(_draft(document, now=now, config=config))
        except Invalid as error:
            errors += [_within(each, number) for each in error.errors]
            codes.add(error.code)
        if len(errors) > MOST_ERRORS:
            raise Invalid(errors)
    errors += _repeated(given)
    if errors:
        raise Invalid(errors, code=codes.pop() if len(codes) == 1 else None)
    return found


def require_in_scope(found: Sequence[Draft], caller: Caller) -> None:
    """Raise Forbidden, naming them, when any of the events would be out of sight."""
    outside: list[str] = []
    for number, draft in enumerate(found):
        try:
            caller.require_in_scope(draft.content.tags)
        except Forbidden:
            outside.append(f"/events/{number}")
    if outside:
        shown = ", ".join(outside[:MOST_ERRORS]) + (", …" if len(outside) > MOST_ERRORS else "")
        raise Forbidden(
            f"{shown} would be out of the token's scope: each needs a tag that matches {', '.join(caller.scope)}.",
            code="out_of_scope",
        )


def _draft(document: Json, *, now: datetime, config: ApiSettings) -> Draft:
    if not isinstance(document, dict):
        raise Invalid([FieldError(pointer="", message="An event must be a JSON object.", example={"name": "…"})])
    return drafts.read(cast("dict[str, Any]", document), now=now, config=config)


def _within(error: FieldError, number: int) -> FieldError:
    return msgspec.structs.replace(error, pointer=f"/events/{number}{error.pointer}")


def _repeated(given: Sequence[Json]) -> Iterator[FieldError]:
    """Find events with an external_id that one before them has."""
    first: dict[str, int] = {}
    for number, document in enumerate(given):
        external_id: Json = cast("dict[str, Any]", document).get("external_id") if isinstance(document, dict) else None
        if not isinstance(external_id, str):
            continue
        if external_id in first:
            message = f"The event /events/{first[external_id]} has this `external_id` already."
            yield FieldError(pointer=f"/events/{number}/external_id", message=message, hint="Each needs its own.")
        first.setdefault(external_id, number)
