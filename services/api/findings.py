"""What reading one document brought to light: good values, and everything that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from services.api import decoding, instants
from shared.domain.content import Json
from shared.errors import FieldError, Invalid, InvalidSchedule


class Findings:
    """Collects, so that a client hears of all errors at once."""

    def __init__(self, kind: type[msgspec.Struct], document: Mapping[str, Json]) -> None:
        values, self.errors = decoding.convert(kind, document)
        fields = decoding.fields_of(kind)
        self._values = {name: values[field.name] for name, field in fields.items() if field.name in values}
        self._codes: list[str] = []

    def value(self, name: str, default: Any) -> Any:  # noqa: ANN401 - whatever the field holds
        """Return a field's value as its type says, `default` when it was left out or is bad."""
        return self._values.get(name, default)

    def instant(self, name: str) -> datetime | None:
        """Return a field's instant; None when it was left out, or is none, which is noted."""
        if not self.given(name):
            return None
        try:
            return instants.with_offset(self.value(name, ""))
        except ValueError as error:
            self.add(f"/{name}", str(error), hint=instants.HINT, example=instants.EXAMPLE)
            return None

    def given(self, name: str) -> bool:
        """Tell whether a good value was sent."""
        return name in self._values

    def any_of(self, *names: str) -> bool:
        """Tell whether anything is wrong with one of these fields."""
        return any(error.pointer.split("/")[1:2] == [name] for error in self.errors for name in names)

    def add(self, pointer: str, message: str, *, hint: str | None = None, example: object = None) -> None:
        """Note that something is wrong."""
        self.errors.append(FieldError(pointer=pointer, message=message, hint=hint, example=example))

    def refuse(self, pointer: str, error: InvalidSchedule) -> None:
        """Note why a schedule cannot be honoured."""
        self.errors.append(error.at(pointer))
        self._codes.append(error.code)

    def raise_if_any(self) -> None:
        """Raise Invalid when anything is wrong. Its code is the schedule's own when nothing else is."""
        if self.errors:
            alone = len(self._codes) == len(self.errors) and len(set(self._codes)) == 1
            raise Invalid(self.errors, code=self._codes[0] if alone else None)
