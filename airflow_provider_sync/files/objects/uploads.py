"""Objects on their way to a store, which appear when their upload is complete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

Made = tuple[int, bytes]
"""Of an object that was made: its time of modification, 0 if it is not known, and its version."""


class Upload(Protocol):
    """A large object on its way. Exceptions are those of the store's library."""

    def write(self, data: bytes) -> object:
        """Append all of ``data``."""
        ...

    def complete(self) -> Made | None:
        """Let the object appear, and return what it is; ``None`` if the store does not say."""
        ...

    def abort(self) -> None:
        """Leave nothing behind in the store; after :meth:`complete` has failed, too."""
        ...


def unknown() -> None:
    """Say that nothing is known of what was made."""
    return


class FileUpload:
    """An upload by fsspec's file objects.

    :param file: open for writing
    :param made: called after the end
    """

    def __init__(self, file: Any, made: Callable[[], Made | None] = unknown) -> None:
        self._file = file
        self._made = made

    def write(self, data: bytes) -> object:
        """Append all of ``data``."""
        return self._file.write(data)

    def complete(self) -> Made | None:
        """Let the object appear."""
        self._file.close()
        return self._made()

    def abort(self) -> None:
        """Give the upload up."""
        # fsspec has no public way to do so: closing completes it, and so does garbage collection.
        self._file.closed = True
        self._file.discard()
