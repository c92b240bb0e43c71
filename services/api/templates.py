"""Judge a custom body at writing time, so that nothing is left to go wrong with it when it is due."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import islice

from services.api import checks
from services.api.decoding import escaped
from shared.domain import template
from shared.domain.content import Json
from shared.errors import BodyTooLarge, FieldError

MOST_NAMED = 20
"""Strings with an unknown placeholder that one answer names."""

_HINT = f"Known between braces: {', '.join(template.KNOWN)}, and paths into the metadata: event.metadata.<name>."
_LONGEST_SHOWN = 64


def problems(body: Json, values: Mapping[str, Json]) -> Iterator[FieldError]:
    """Find what keeps `body` from being sent. `values` are those that the event itself knows and that may be long."""
    yield from checks.size("/body", body, "body")
    unknown = list(islice(template.unknown(body), MOST_NAMED))
    for path, name in unknown:
        shown = name[:_LONGEST_SHOWN]
        example = get_close_matches(shown, template.KNOWN, n=1, cutoff=0.5) or ["event.name"]
        yield FieldError(
            pointer="".join(f"/{escaped(str(step))}" for step in ("body", *path)),
            message=f"Between braces stands {shown!r}, which is not known." if shown else "The braces hold no name.",
            hint=_HINT,
            example=f"{{{{{example[0]}}}}}",
        )
    if not unknown:
        try:
            template.render(body, {**dict.fromkeys(template.KNOWN), **values})
        except BodyTooLarge as error:
            hint = "Fill in large values less often, or send a link instead."
            yield FieldError(pointer="/body", message=f"With its values filled in, {error}.", hint=hint)
