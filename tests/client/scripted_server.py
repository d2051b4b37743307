"""A server on a real socket that answers as a test says, misbehaviour included."""

from __future__ import annotations

import base64
import json
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from socket import SHUT_RDWR, socket
from ssl import SSLContext
from typing import Any
from urllib.parse import parse_qsl

from tests.server_thread import serving

GOLDEN = Path(__file__).parents[1] / "golden" / "http.json"

Answer = bytes | Callable[[socket], None]


@dataclass
class Request:
    """What a client sent."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The fields of the form."""
        return parse_qsl(self.body.decode(), keep_blank_values=True)


@dataclass
class ScriptedServer:
    """Gives the answers in their order, the last one again and again."""

    url: str
    answers: list[Answer] = field(default_factory=list, repr=False)
    requests: list[Request] = field(default_factory=list, repr=False)
    released: threading.Event = field(default_factory=threading.Event)
    _came: threading.Condition = field(default_factory=threading.Condition)

    def answer(self, *answers: Answer) -> None:
        """Set what comes next."""
        self.answers = list(answers)

    def add(self, request: Request) -> None:
        """Note a request that came."""
        with self._came:
            self.requests.append(request)
            self._came.notify_all()

    def asked(self, count: int) -> bool:
        """Whether so many requests came, no more; a client that gave up may be ahead of this server, so they are waited for."""
        with self._came:
            return self._came.wait_for(lambda: len(self.requests) >= count, timeout=60) and len(self.requests) == count

    def silence(self, connection: socket) -> None:
        """Answer nothing until the test is over."""
        self.released.wait()


@contextmanager
def scripted_server(tls: SSLContext | None = None) -> Iterator[ScriptedServer]:
    """Run a server on a free port of the loopback.

    :param tls: with the certificate, for HTTPS
    """

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            try:
                script.add(self._request())
                answer = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
                if callable(answer):
                    answer(self.request)
                else:
                    self.request.sendall(answer)
                self.request.shutdown(SHUT_RDWR)
            except OSError:
                return  # the client closed first

        def _request(self) -> Request:
            path = self.rfile.readline().decode().split(" ")[1]
            headers = {}
            while (line := self.rfile.readline().decode().strip()) != "":
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            return Request(path, headers, self.rfile.read(int(headers.get("content-length", 0))))

    class Server(socketserver.ThreadingTCPServer):
        def get_request(self) -> tuple[socket, Any]:
            connection, address = super().get_request()
            return tls.wrap_socket(connection, server_side=True) if tls else connection, address

    server = Server(("127.0.0.1", 0), Handler)
    script = ScriptedServer(f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}/api/sync")
    with serving(server):
        try:
            yield script
        finally:
            script.released.set()


def reply(
    status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None, *, kind: str = "application/json"
) -> bytes:
    """Write an answer of known length."""
    fields = {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}
    return head(status, fields) + body


def stream(body: bytes, headers: Mapping[str, str] | None = None, *, size: int = 1000, end: bool = True) -> bytes:
    """Write an answer in chunks, as the endpoints for rows and files do; without its ``end`` it is cut."""
    fields = {"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked", **(headers or {})}
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return (
        head(200, fields) + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + (b"0\r\n\r\n" if end else b"")
    )


def until_closed(body: bytes, kind: str = "application/octet-stream") -> bytes:
    """Write an answer as HTTP/1.0 does: its end is the end of the connection, so that a cut does not show."""
    return head(200, {"Content-Type": kind}) + body


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """Write a status line and headers."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode()


def recorded(name: str) -> bytes:
    """Write the recorded answer of a real server."""
    response = _recordings()[name]["response"]
    body = base64.b64decode(response["body_base64"]) if "body_base64" in response else response["body"].encode()
    return reply(response["status"], body, response["headers"])


def recorded_names(endpoint: str, status: int) -> list[str]:
    """Name the recordings of an endpoint with a status."""
    return [
        name
        for name, entry in _recordings().items()
        if entry["request"]["line"] == f"POST {endpoint}" and entry["response"]["status"] == status
    ]


def _recordings() -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in json.loads(GOLDEN.read_text())}
