"""A line between client and server on which every byte takes its time, as over a long distance."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from queue import SimpleQueue
from urllib.parse import urlsplit

_PIECE_BYTES = 256 * 1024


@contextmanager
def slow_line(url: str, round_trip: float) -> Iterator[str]:
    """Listen on a free port of the loopback, and pass on what comes to the server at ``url``, and back.

    Bytes are late, not few: the bandwidth stays that of the loopback. As TCP does, a new connection costs a round trip.

    :param round_trip: seconds
    :return: the URL to ask instead
    """
    parts = urlsplit(url)
    assert parts.hostname is not None
    server = (parts.hostname, parts.port or 80)
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        threading.Thread(target=_accept, args=(listening, server, round_trip / 2), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}{parts.path}"
        # Only this wakes a thread that waits for a connection.
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, server: tuple[str, int], delay: float) -> None:
    while True:
        try:
            near = listening.accept()[0]
        except OSError:
            return
        far = socket.create_connection(server)
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, target, wait in ((near, far, 3 * delay), (far, near, delay)):
            queue: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
            threading.Thread(target=_receive, args=(source, queue, wait, delay), daemon=True).start()
            threading.Thread(target=_send, args=(target, queue), daemon=True).start()


def _receive(source: socket.socket, queue: SimpleQueue[tuple[float, bytes]], first_delay: float, delay: float) -> None:
    """Put each piece into the queue with the time at which it arrives; the first waits for the connection, too."""
    wait = first_delay
    while True:
        try:
            piece = source.recv(_PIECE_BYTES)
        except OSError:
            piece = b""
        queue.put((time.monotonic() + wait, piece))
        wait = delay
        if not piece:
            return


def _send(target: socket.socket, queue: SimpleQueue[tuple[float, bytes]]) -> None:
    while True:
        due, piece = queue.get()
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            if not piece:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(piece)
        except OSError:
            return
