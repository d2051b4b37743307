"""A proxy between client and server that damages the bytes that pass."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

REQUESTS, ANSWERS = "requests", "answers"
_BLOCK = 4096


@dataclass
class Damage:
    """What happens to one byte of a direction, counted over all connections of a sync.

    :ivar direction: :data:`REQUESTS` or :data:`ANSWERS`
    :ivar offset: how many bytes pass before it
    :ivar change: what the block that holds the byte becomes, called with the block and the byte's place; ``None`` cuts the
        connection there
    :ivar done: whether it has happened
    """

    direction: str
    offset: int
    change: Callable[[bytes, int], bytes] | None
    done: bool = False


def flipped(bit: int) -> Callable[[bytes, int], bytes]:
    """Flip one bit of the byte."""
    return lambda block, place: block[:place] + bytes([block[place] ^ (1 << bit)]) + block[place + 1 :]


def doubled(size: int) -> Callable[[bytes, int], bytes]:
    """Send the ``size`` bytes before the place twice."""
    return lambda block, place: block[:place] + block[max(0, place - size) : place] + block[place:]


def dropped(size: int) -> Callable[[bytes, int], bytes]:
    """Leave ``size`` bytes from the place on out."""
    return lambda block, place: block[:place] + block[place + size :]


def delayed(seconds: float) -> Callable[[bytes, int], bytes]:
    """Hold the block back."""

    def change(block: bytes, _: int) -> bytes:
        time.sleep(seconds)
        return block

    return change


@dataclass
class Proxy:
    """Passes every connection on to the server at ``target``.

    :param target: URL of the server
    :ivar url: to give to the client
    :ivar damage: what to do; ``None`` passes everything as it is
    :ivar on_request: called before each block of a request is passed on
    :ivar passed: bytes that passed in each direction
    """

    target: str
    damage: Damage | None = None
    on_request: Callable[[], None] | None = None
    passed: dict[str, int] = field(default_factory=lambda: {REQUESTS: 0, ANSWERS: 0})

    def __enter__(self) -> Self:
        parts = urlsplit(self.target)
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}{parts.path}"
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, name="fault-proxy", daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()
        for thread in self._threads:
            thread.join(10)
        for connection in self._open:
            connection.close()

    def set(self, damage: Damage | None) -> None:
        """Count from zero again, with another damage."""
        self.cut_all()
        with self._lock:
            self.damage = damage
            self.passed = {REQUESTS: 0, ANSWERS: 0}

    def cut_all(self) -> None:
        """Cut every connection that is open."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # the proxy has ended
            try:
                server = socket.create_connection(self._upstream)
            except OSError:
                client.close()
                continue
            for connection in (client, server):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open |= {client, server}
            for direction, source, sink in ((REQUESTS, client, server), (ANSWERS, server, client)):
                thread = threading.Thread(target=self._pass, args=(direction, source, sink), name="fault-proxy", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._threads = [thread for thread in self._threads if thread.is_alive()]

    def _pass(self, direction: str, source: socket.socket, sink: socket.socket) -> None:
        try:
            while block := source.recv(_BLOCK):
                if direction == REQUESTS and self.on_request:
                    self.on_request()
                damaged, cut = self._damaged(direction, block)
                sink.sendall(damaged)
                if cut:
                    break
            else:
                sink.shutdown(socket.SHUT_WR)
                return
        except OSError:
            pass  # one of them has gone, so that the other has to go too
        with self._lock:
            self._open -= {source, sink}
        for connection in (source, sink):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _damaged(self, direction: str, block: bytes) -> tuple[bytes, bool]:
        with self._lock:
            before = self.passed[direction]
            self.passed[direction] += len(block)
            damage = self.damage
            if damage is None or damage.done or damage.direction != direction:
                return block, False
            place = damage.offset - before
            if not 0 <= place < len(block):
                return block, False
            damage.done = True
        if damage.change is None:
            return block[:place], True
        return damage.change(block, place), False
