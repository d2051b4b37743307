"""Uploads of large objects, which appear when their upload is complete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

Made = tuple[int, bytes]
"""Time of modification (0 if unknown) and version of an object that was created."""


class Upload(Protocol):
    """The upload of a large object. Exceptions are those of the store's library."""

    def write(self, data: bytes) -> object:
        """Append all of ``data``."""
        ...

    def complete(self) -> Made | None:
        """Complete the object, and return its time of modification and version; ``None`` if the store does not return them."""
        ...

    def abort(self) -> None:
        """Remove the upload from the store, also after :meth:`complete` has failed."""
        ...


def unknown() -> None:
    """Return ``None``: nothing is known of the created object."""
    return


class FileUpload:
    """An upload by fsspec's file objects.

    :param file: fsspec's file object, open for writing
    :param made: called after the end; returns time of modification and version
    """

    def __init__(self, file: Any, made: Callable[[], Made | None] = unknown) -> None:
        self._file = file
        self._made = made

    def write(self, data: bytes) -> object:
        """Append all of ``data``."""
        return self._file.write(data)

    def complete(self) -> Made | None:
        """Complete the object."""
        self._file.close()
        return self._made()

    def abort(self) -> None:
        """Abort the upload."""
        # fsspec has no public call for this: closing completes the upload, and so does garbage collection.
        self._file.closed = True
        self._file.discard()
