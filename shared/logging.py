"""Logs: one JSON object a line, or a line for people; facts in the past tense, with fields."""

from __future__ import annotations

import asyncio
import atexit
import logging
import sys
from typing import TextIO, cast

import msgspec
import structlog


class Lines:
    """Writes the lines of one turn of the event loop at once: a write for each would cost more than making it."""

    def __init__(self) -> None:
        self._kept: list[str] = []

    def write(self, line: str) -> None:
        """Keep a line until `flush` has its turn."""
        self._kept.append(line)

    def flush(self) -> None:
        """Write what is kept at the end of this turn, or at once where no loop runs."""
        if len(self._kept) > 1:
            return  # the first one has seen to it
        try:
            asyncio.get_running_loop().call_soon(self.write_out)
        except RuntimeError:
            self.write_out()

    def write_out(self) -> None:
        """Write what is kept now."""
        kept, self._kept = self._kept, []
        if kept:
            sys.stderr.write("".join(kept))
            sys.stderr.flush()


_lines = Lines()
write_out = _lines.write_out


def _json(fields: object, **_: object) -> str:
    return msgspec.json.encode(fields, enc_hook=repr).decode()


def configure(service: str, *, readable: bool) -> None:
    """Send everything, also what libraries log through the standard library, to stderr."""
    atexit.register(write_out)
    renderer = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0, sort_keys=False)
        if readable
        else structlog.processors.JSONRenderer(serializer=_json)
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _lines)),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
