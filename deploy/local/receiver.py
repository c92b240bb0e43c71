"""Print every webhook that arrives, for a first try: `python -m deploy.local.receiver [port [host]]`. Answers 204."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

HOST = "127.0.0.1"
PORT = 8099
SHOWN = (
    "webhook-id", "webhook-timestamp", "webhook-signature", "x-qhronos-signature", "x-qhronos-attempt",
    "traceparent", "tracestate",
)  # fmt: skip


class Receiver(BaseHTTPRequestHandler):
    """Takes any POST, PUT or PATCH."""

    def do_POST(self) -> None:
        """Print the request and accept it."""
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode(errors="replace")
        headers = [f"{name}: {self.headers[name]}" for name in SHOWN if name in self.headers]
        sys.stdout.write("\n".join(["", f"{self.command} {self.path}", *headers, "", body, ""]))
        sys.stdout.flush()
        self.send_response(204)
        self.end_headers()

    do_PUT = do_PATCH = do_POST  # noqa: N815 - the names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing more: the request is printed already."""


def main(port: int, host: str) -> None:
    """Receive until interrupted."""
    with HTTPServer((host, port), Receiver) as server:
        sys.stdout.write(f"waiting for webhooks on http://{host}:{port}/\n")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PORT, sys.argv[2] if len(sys.argv) > 2 else HOST)
