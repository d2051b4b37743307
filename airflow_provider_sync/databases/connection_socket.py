"""The socket below a driver's connection, which another thread may shut down."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from threading import Lock
from typing import Any, Self


class ConnectionSocket:
    """A handle of its own on the socket of a driver's connection, since another thread cannot ask the driver for it safely.

    :param number: file descriptor of the connection; ``None`` for a database without a socket
    """

    def __init__(self, number: int | None) -> None:
        self._lock = Lock()
        self._socket = None if number is None else socket.socket(fileno=os.dup(number))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def shut_down(self) -> bool:
        """End the connection, so that a thread that waits for an answer gets an error; return whether it was still open."""
        with self._lock:
            if self._socket is None:
                return False
            # The other side may have ended it.
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            return True

    def close(self) -> None:
        """Close the handle, and leave the driver's connection as it is."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def is_closed(self) -> bool:
        """Whether the handle was closed, or there never was a socket."""
        return self._socket is None


def socket_of(driver: Any) -> int | None:
    """Return the file descriptor of a driver's connection; ``None`` if it has no socket.

    :param driver: a connection of mysqlclient, pymysql, psycopg or psycopg2; a database in a file has no socket
    """
    # pymysql has only `_sock`.
    opened = driver if hasattr(driver, "fileno") else getattr(driver, "_sock", None)
    return None if opened is None else int(opened.fileno())
