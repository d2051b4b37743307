"""A webhook that listens on a socket."""

from __future__ import annotations

import json
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.server_thread import Silent, serving

SECRET = "T0/B0/secret-of-the-webhook"


class Webhook(ThreadingHTTPServer):
    """Keeps the texts that are posted to the secret path; anything else is not found. A context manager.

    :ivar connection: fields of Airflow's connection
    :ivar endless: whether its answers have a body without an end
    """

    endless = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.texts: list[str] = []
        host = f"http://127.0.0.1:{self.server_port}/services"
        self.connection = {"conn_type": "http", "host": host, "password": SECRET}
        self._serving = serving(self)

    def __enter__(self) -> Self:
        self._serving.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None = None, error: BaseException | None = None, trace: TracebackType | None = None
    ) -> None:
        self._serving.__exit__(kind, error, trace)


class _Handler(Silent, BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = self.path == f"/services/{SECRET}"
        if found:
            self.server.texts.append(body["text"])
        self.send_response(200 if found else 404)
        self.end_headers()
        with suppress(OSError):
            while self.server.endless:  # as long as anybody listens
                self.wfile.write(b"x" * 1000)
