"""Digests of files: the protocol's MD5, none, and custom classes given by import path.

A hasher has a ``name`` and ``hash(file) -> str``, and may have ``start()``, which returns an object with ``update`` and
``hexdigest`` as :mod:`hashlib` has them, to digest content while it is received.
"""

from __future__ import annotations

import hashlib
import threading
from importlib import import_module
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self, cast, runtime_checkable

from airflow_provider_sync.exceptions import ConfigurationError, naming_hasher

BLOCK_BYTES = 256 * 1024
_SPOOL_BYTES = 8 * 1024 * 1024


class FileHasher(Protocol):
    """Makes the digest of a file's content.

    :ivar name: of the digest, for messages
    """

    name: str

    def hash(self, file: BinaryIO) -> str:
        """Return the digest of all that ``file`` holds, read in blocks; ``""`` counts as always changed."""
        ...


class Md5Hasher:
    """MD5 in lower-case hex, which every server and client of version 1 knows."""

    name = "md5"

    def __init__(self) -> None:
        # One buffer per thread: allocating it costs more than hashing a small file.
        self._buffers = threading.local()

    def hash(self, file: BinaryIO) -> str:
        """Return the MD5 of the file in lower-case hex."""
        buffer: bytearray | None = getattr(self._buffers, "buffer", None)
        if buffer is None:
            buffer = self._buffers.buffer = bytearray(BLOCK_BYTES)
        view = memoryview(buffer)
        digest = self.start()
        readinto = getattr(file, "readinto", None)
        if readinto is None:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
        else:
            while size := readinto(view):
                digest.update(view[:size])
        return cast("str", digest.hexdigest())

    def start(self) -> Any:
        """Return a running digest."""
        return hashlib.md5(usedforsecurity=False)


class NoneHasher:
    """No digest: files are not read, and every file counts as changed."""

    name = "none"

    def hash(self, file: BinaryIO) -> str:
        """Return ``""`` without reading."""
        return ""

    def start(self) -> NoneHasher:
        """Return a running digest that does nothing."""
        return self

    def update(self, data: bytes) -> None:
        """Ignore ``data``."""

    def hexdigest(self) -> str:
        """Return ``""``."""
        return ""


_BUILT_IN: dict[str, type[FileHasher]] = {"md5": Md5Hasher, "none": NoneHasher}


def load_hasher(name: str) -> FileHasher:
    """Return the hasher that a configuration names.

    :param name: ``md5``, ``none``, or the import path of a class without required arguments, ``package.module.Class``
    :raises ConfigurationError: when there is none, or it is not a hasher
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]()
    module, _, attribute = name.replace(":", ".").rpartition(".")
    if not module:
        raise ConfigurationError(f"There is no file hasher {name!r}. Use 'md5', 'none', or the import path of a class.")
    try:
        hasher = getattr(import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigurationError(
            f"The file hasher {name!r} cannot be loaded: {error}. Give the import path of a class."
        ) from error
    if not isinstance(getattr(hasher, "name", None), str) or not callable(getattr(hasher, "hash", None)):
        raise ConfigurationError(f"{name!r} is not a file hasher. Give it name: str and hash(file: BinaryIO) -> str.")
    return cast("FileHasher", hasher)


def load_naming_hasher(name: str) -> FileHasher:
    """Return the hasher that a configuration names, whose own errors then name its class.

    :raises ConfigurationError: as :func:`load_hasher`
    """
    hasher = load_hasher(name)
    return hasher if isinstance(hasher, (Md5Hasher, NoneHasher)) else _NamingHasher(name, hasher)


@runtime_checkable
class _Starts(Protocol):
    def start(self) -> Any: ...


class _NamingHasher:
    """A user-defined hasher whose errors name its class."""

    def __init__(self, path: str, hasher: FileHasher) -> None:
        self.name = hasher.name
        self._path = path
        self._hasher = hasher
        if isinstance(hasher, _Starts):
            self.start = hasher.start

    def hash(self, file: BinaryIO) -> str:
        """Return the digest.

        :raises ConfigurationError: if it is no text
        :raises UnexpectedError: for an error of the class, other than those of reading the file
        """
        with naming_hasher(self._path, OSError):
            found: object = self._hasher.hash(file)
        if not isinstance(found, str):
            raise ConfigurationError(f"hasher is {self._path!r}, which returned {type(found).__name__}. Let it return a text.")
        return found


class StreamDigest:
    """The digest, by any hasher, of content that arrives in pieces; a context manager.

    A hasher without ``start()`` gets the content as a file: in memory up to 8 MiB, on disk beyond.
    """

    def __init__(self, hasher: FileHasher) -> None:
        self._hasher = hasher
        self._running = hasher.start() if isinstance(hasher, _Starts) else None
        self._spool = None if self._running is not None else SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115  # closed with this object

    def update(self, data: bytes) -> None:
        """Take the next piece."""
        if self._spool is not None:
            self._spool.write(data)
        elif self._running is not None:
            self._running.update(data)

    def result(self) -> str:
        """Return the digest of all pieces so far; the last call."""
        if self._spool is None:
            return cast("str", self._running.hexdigest()) if self._running is not None else ""
        self._spool.seek(0)
        return self._hasher.hash(cast("BinaryIO", self._spool))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._spool is not None:
            self._spool.close()
