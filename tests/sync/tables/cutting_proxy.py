"""A proxy before a server that cuts or damages the bodies of some answers."""

from __future__ import annotations

import http.client
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.server_thread import Silent, serving


class CuttingProxy:
    """Passes requests on, and answers back.

    :ivar url: to be asked instead of the server's
    :ivar cuts: by endpoint, as ``/getRows``: how many of the next answers are cut
    :ivar damages: by endpoint: how many of the next answers have one byte that is another
    :ivar damaged_at: where that byte is
    :ivar share: how much of a body gets through
    :ivar asked: requests by endpoint
    :ivar heard: bodies of requests and of answers as they were before a cut, with the headers of either
    """

    def __init__(self, server_url: str) -> None:
        self.server = urlsplit(server_url)
        self.url = ""
        self.cuts: Counter[str] = Counter()
        self.damages: Counter[str] = Counter()
        self.damaged_at = 0
        self.share = 0.5
        self.asked: Counter[str] = Counter()
        self.heard: list[tuple[Message, bytes]] = []

    def pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request as the server does, whole or cut."""
        endpoint = "/" + handler.path.rpartition("/")[2]
        self.asked[endpoint] += 1
        upstream = http.client.HTTPConnection(self.server.hostname or "", self.server.port, timeout=60)
        try:
            body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
            upstream.request(handler.command, handler.path, body or None, dict(handler.headers))
            answer = upstream.getresponse()
            content = answer.read()
            self.heard += [(handler.headers, body), (answer.headers, content)]
        finally:
            upstream.close()
        handler.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                handler.send_header(name, value)
        handler.send_header("Connection", "close")
        handler.close_connection = True
        if answer.status == 304:
            handler.end_headers()
            return
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if self.cuts[endpoint] > 0:
            self.cuts[endpoint] -= 1
            content = content[: int(len(content) * self.share)]
        elif self.damages[endpoint] > 0:
            self.damages[endpoint] -= 1
            changed = bytearray(content)
            changed[self.damaged_at] ^= 1
            content = bytes(changed)
        handler.wfile.write(content)


@contextmanager
def cutting_proxy(server_url: str) -> Iterator[CuttingProxy]:
    """Run the proxy on a free port of the loopback."""
    proxy = CuttingProxy(server_url)

    class Handler(Silent, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            proxy.pass_on(self)

        def do_GET(self) -> None:
            proxy.pass_on(self)

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.url = f"http://127.0.0.1:{listening.server_port}{proxy.server.path}"
    with serving(listening):
        yield proxy
