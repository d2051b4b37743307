"""A proxy between a database and its clients, which can fall silent while its connections stay open."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread

from sqlalchemy import make_url


@contextmanager
def between(url: str, pass_on: Callable[[bytes], bool], change: Callable[[bytes], bytes] = bytes) -> Iterator[str]:
    """Stand between a database and its clients; yield the URL that leads here.

    :param pass_on: whether what a client sends reaches the server; from the first time on that it does not, nothing does
    :param change: what the client gets of the server's answers
    """
    server = make_url(url)

    def copy(source: socket.socket, target: socket.socket, *, asked: bool) -> None:
        silent = False
        with suppress(OSError):
            while data := source.recv(65536):
                silent = silent or (asked and not pass_on(data))
                if not silent:
                    target.sendall(data if asked else change(data))
            target.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client = opened.enter_context(listener.accept()[0])
                upstream = opened.enter_context(socket.create_connection((server.host or "", server.port or 0)))
                ends.extend((client, upstream))
                for source, target, asked in ((client, upstream, True), (upstream, client, False)):
                    threads.append(Thread(target=copy, args=(source, target), kwargs={"asked": asked}))
                    threads[-1].start()

    with ExitStack() as opened:
        listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        ends: list[socket.socket] = []
        threads = [Thread(target=accept)]
        threads[0].start()
        try:
            yield server.set(port=listener.getsockname()[1]).render_as_string(hide_password=False)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            threads[0].join()
            # A client may still hold its end.
            for end in ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()
