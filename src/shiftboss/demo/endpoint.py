"""A local HTTP endpoint that is down at times, for the probe to find out.

Rules of this file
- Loopback only, a port that the system chooses; down for the last third of every minute.
"""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CYCLE_S = 60.0
DOWN_S = 20.0


def is_down(now_s: float) -> bool:
    """Whether the endpoint refuses at *now_s* (seconds since 1970)."""
    return now_s % CYCLE_S >= CYCLE_S - DOWN_S


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # the name that the standard library calls
        down = is_down(time.time())
        body = b"down\n" if down else b"ok\n"
        self.send_response(503 if down else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """The probe says what matters."""


class Endpoint:
    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="demo-endpoint", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
