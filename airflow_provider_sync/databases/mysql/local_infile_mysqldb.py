"""Restrict the files that mysqlclient sends, by the C library's ``mysql_set_local_infile_handler``.

mysqlclient does not expose the function, so it is called through ctypes. The handler is set before the first statement. If the
function is not accessible in the library, no file is sent at all.
"""

from __future__ import annotations

import ctypes
import os
import threading
from functools import cache
from typing import Any

from MySQLdb import _mysql
from MySQLdb.connections import Connection

from airflow_provider_sync.databases.mysql.local_file import REFUSED, file_name, refusal
from airflow_provider_sync.databases.opening_limit import limit_opening_of

_HEADER = object.__basicsize__
"""Size in bytes of Python's object header at the start of a connection; the library's MYSQL struct follows it."""

_state = threading.local()
"""Name of the last file that was refused in each thread; the library asks for the error message right afterwards."""


def connect(arguments: dict[str, Any], *, load: bool) -> Connection:
    """Open a connection that sends no file; with ``load``, one for which :func:`offer` can allow a file."""
    if not load or _library() is None:
        return _Guarded(**arguments, local_infile=0)
    if _is_mariadb():
        # By default, MariaDB's library sends files only for LOAD DATA, so nothing is sent before the handler is set.
        return _Guarded(**arguments)
    # With local_infile=1, MySQL's library would send files during `init_command`, which it runs before the handler can be set.
    command = arguments.pop("init_command", None)
    connection = _Guarded(**arguments, local_infile=1)
    if command:
        connection.query(command)
    return connection


def guard(connection: Any) -> None:
    """Make a connection that other code opened refuse every file that was not offered."""
    offer(connection, None)


def can_send(connection: Any) -> bool:
    """Whether :func:`offer` works."""
    return _pointer(connection) is not None


def offer(connection: Any, descriptor: int | None) -> None:
    """Allow the server to request the file of this descriptor by its name in the next statement; ``None`` for no file."""
    library, pointer = _library(), _pointer(connection)
    if library is not None and pointer is not None:
        # The last argument is passed to the handler; 0 means no file.
        library.mysql_set_local_infile_handler(pointer, *_HANDLER, 0 if descriptor is None else descriptor + 1)


class _Handled(_mysql.connection):  # type: ignore[misc]  # it has no annotations
    """Replaces the library's connection below :class:`Connection`, to set the handler before the first statement."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        limit_opening_of(self)
        guard(self)

    def set_character_set(self, charset: str) -> None:
        """Set a character set; set that of the login by a statement, which lets other threads run while the server is silent."""
        if charset == self.character_set_name():
            self.query(f"SET NAMES {charset}")
            self.store_result()
        else:
            super().set_character_set(charset)


class _Guarded(Connection, _Handled):  # type: ignore[misc]  # it has no annotations
    """A connection whose handler is set before the first statement."""


@cache
def _library() -> ctypes.CDLL | None:
    """Return the C library that mysqlclient uses; ``None`` if it is not accessible."""
    try:
        library = ctypes.CDLL(_mysql.__file__)
        library.mysql_thread_id.argtypes = [ctypes.c_void_p]
        library.mysql_thread_id.restype = ctypes.c_ulong
        library.mysql_set_local_infile_handler.argtypes = [ctypes.c_void_p, _Begin, _Read, _End, _Explain, ctypes.c_void_p]
        library.mysql_set_local_infile_handler.restype = None
    except (AttributeError, OSError):
        return None
    return library


def _is_mariadb() -> bool:
    return hasattr(_library(), "mysql_optionsv")


def _pointer(connection: Any) -> int | None:
    """Return the address of the library's MYSQL struct; ``None`` if it is not at the offset of all known releases."""
    library = _library()
    if library is None or not isinstance(connection, _mysql.connection):
        return None
    pointer = id(connection) + _HEADER
    return pointer if library.mysql_thread_id(pointer) == connection.thread_id() else None


# -- the handler: a file's handle is its descriptor plus 1, as a pointer ---------------------------------------------------

_Begin = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.c_char_p, ctypes.c_void_p)
_Read = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint)
_End = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_Explain = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint)


def _begin(handle: Any, name: bytes | None, offer: int | None) -> int:
    asked = (name or b"").decode(errors="replace")
    if offer and asked == file_name(offer - 1):
        handle[0] = offer
        return 0
    _state.refused = asked
    handle[0] = None
    return 1


def _read(handle: int | None, buffer: int, size: int) -> int:
    try:
        return os.readv((handle or 0) - 1, [(ctypes.c_char * size).from_address(buffer)])
    except OSError:
        return -1


def _end(handle: int | None) -> None:
    """Do nothing: the caller closes the descriptor."""


def _explain(handle: int | None, buffer: int, size: int) -> int:
    reason = "the rows could not be read" if handle else refusal(getattr(_state, "refused", ""))
    text = reason.encode()[: size - 1] + b"\0"
    ctypes.memmove(buffer, text, len(text))
    return REFUSED


_HANDLER = (_Begin(_begin), _Read(_read), _End(_end), _Explain(_explain))
