"""End with 0 if the process beside us answers on its operations port: the health check of the images.

A bare socket, because it runs every few seconds and an HTTP library costs more to import than all the rest.
"""

from __future__ import annotations

import os
import socket
import sys

PATIENCE = 4.0


def answers(port: int) -> bool:
    """Tell whether `/health` on this port is answered with 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            with connection.makefile("rb") as answer:
                return b" 200 " in answer.read()[:64]
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(not answers(int(os.environ.get("QHRONOS_OPS_PORT") or 9090)))
