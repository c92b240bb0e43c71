"""Stand between the services and a server: `python -m tests.chaos.proxy LISTEN UPSTREAM`, both Unix sockets.

Forwards bytes until SIGUSR1. Then it is a black hole, as a network that drops everything: no byte comes through, no
connection ends, new ones are taken and hear nothing. After SIGUSR2 everything goes on, what was held back first.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio import StreamReader, StreamWriter

import uvloop

LARGEST_READ = 64 * 1024


class Proxy:
    """Relays each connection to the upstream socket while `open` is set."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self.open = asyncio.Event()
        self.open.set()

    async def serve(self, listen: str) -> None:
        """Take connections until the process ends."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self.open.clear)
        loop.add_signal_handler(signal.SIGUSR2, self.open.set)
        server = await asyncio.start_unix_server(self._relay, listen)
        await server.serve_forever()

    async def _relay(self, client: StreamReader, to_client: StreamWriter) -> None:
        await self.open.wait()
        try:
            server, to_server = await asyncio.open_unix_connection(self._upstream)
        except OSError:  # the server is down: so is what stands before it
            to_client.close()
            return
        await asyncio.gather(self._pump(client, to_server), self._pump(server, to_client))

    async def _pump(self, source: StreamReader, sink: StreamWriter) -> None:
        try:
            while data := await source.read(LARGEST_READ):
                await self.open.wait()
                sink.write(data)
                await sink.drain()
            await self.open.wait()
        except ConnectionError:
            pass
        sink.close()


async def main(listen: str, upstream: str) -> None:
    """Serve."""
    await Proxy(upstream).serve(listen)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2]))
