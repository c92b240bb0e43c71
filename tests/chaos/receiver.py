"""Take webhooks and keep the ledger: `python -m tests.chaos.receiver PORT LEDGER`.

A request is noted before it is answered: an answer that the sender has seen is always in the ledger.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec
import uvloop
from aiohttp import web

from tests.chaos.ledger import Arrival

HOST = "127.0.0.1"
BACKLOG = 4096
"""Connections that wait to be taken; those beyond come a second later, which would look like a fault of the sender."""


class Body(msgspec.Struct, frozen=True):
    """What the ledger keeps of a webhook's body."""

    scheduled_at: datetime


class Receiver:
    """Notes each request in `file` and answers 204."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._bodies = msgspec.json.Decoder(Body)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Note and answer."""
        at = time.time()
        body = self._bodies.decode(await request.read())
        arrival = Arrival(
            occurrence_id=request.headers["webhook-id"],
            at=at,
            attempt=int(request.headers["x-qhronos-attempt"]),
            scheduled_at=body.scheduled_at.timestamp(),
            stream=request.path.removeprefix("/"),
        )
        self._file.write(msgspec.json.encode(arrival) + b"\n")
        return web.Response(status=204)


async def main(port: int, ledger: Path) -> None:
    """Receive until the process is ended."""
    with ledger.open("ab", buffering=0) as file:
        runner = web.ServerRunner(web.Server(Receiver(file).handle, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, HOST, port, backlog=BACKLOG).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), Path(sys.argv[2])))
