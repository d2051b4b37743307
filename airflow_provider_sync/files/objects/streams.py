"""Read and write files of an object store, with the errors of its library translated."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from airflow_provider_sync.exceptions import FileChangedError, FileError, MissingFileError, SyncError, TransportError
from airflow_provider_sync.files.objects.throttling import is_refused, is_throttled, unless_throttled
from airflow_provider_sync.files.objects.uploads import Made
from airflow_provider_sync.printable import reason

READ_BYTES = 8 * 1024 * 1024
"""Bytes that one request reads."""

_RANGE_BYTES = 256 * 1024


@contextmanager
def answering(doing: str, path: str, location: str) -> Iterator[None]:
    """Translate exceptions of a store's library inside the block into errors that say what to do.

    :param doing: a verb, as in "Cannot read"
    :param path: the file, relative to the root; empty for the root itself
    :param location: the root, for messages
    """
    what = f"{path!r} in {location}" if path else location
    try:
        yield
    except SyncError:
        raise
    except FileNotFoundError as error:
        kind = MissingFileError if path and doing == "read" else FileError
        advice = "Check the path, and sync again if it has gone meanwhile." if path else "Make the bucket, or check its name."
        raise kind(f"Cannot {doing} {what}: it does not exist. {advice}") from error
    except (PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError) as error:
        raise FileError(f"Cannot {doing} {what}: {reason(error)}. Check the credentials and the path.") from error
    except OSError as error:
        if is_refused(error):
            raise _refusal(doing, path, what, error) from error
        # s3fs uses this error number for a busy store, too.
        if error.errno == errno.EBUSY and doing == "read" and not is_throttled(error):
            raise FileChangedError(f"{what} changed while it was read. Try again when nobody writes to it.") from error
        raise TransportError(f"Cannot {doing} {what}: {reason(error)}. Try again.") from error
    except Exception as error:  # each store's library has its own exceptions, most of them for transient failures
        if is_refused(error):
            raise _refusal(doing, path, what, error) from error
        raise TransportError(f"Cannot {doing} {what}: {reason(error)}. Check the credentials, and try again.") from error


def _refusal(doing: str, path: str, what: str, error: Exception) -> FileError:
    advice = "check its name and the rules of the bucket" if path else "check the bucket and the credentials"
    return FileError(f"Cannot {doing} {what}: {reason(error)}. The store refuses it: {advice}.")


class StoreReader(io.RawIOBase):
    """A file of a store that is being read, with its errors translated.

    It reads ahead while it is read from the start; after a seek it reads ahead less, since more seeks may follow.

    :param file: fsspec's file object, without a cache of its own
    :param size: its bytes
    :ivar requests: to the store, so far
    """

    def __init__(self, file: Any, path: str, location: str, size: int) -> None:
        self.requests = 0
        self._file = file
        self._path = path
        self._location = location
        self._size = size
        self._ahead = READ_BYTES
        self._position = 0
        self._block = b""
        self._block_start = 0

    def readable(self) -> bool:
        """Return ``True``."""
        return True

    def seekable(self) -> bool:
        """Return ``True``."""
        return True

    def tell(self) -> int:
        """Return the current offset."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to another offset, and return it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset != self._position:
            self._position = start + offset
            self._ahead = _RANGE_BYTES
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read into ``buffer``, and return the number of bytes."""
        view = memoryview(buffer).cast("B")
        start = self._position - self._block_start
        if not 0 <= start < len(self._block):
            count = min(max(len(view), self._ahead), self._size - self._position)
            if count <= 0:
                return 0
            with answering("read", self._path, self._location):
                block = unless_throttled(partial(self._fetch, count))
                if len(block) > count:
                    raise FileError(
                        f"Cannot read {self._path!r} in {self._location}: for a range of {count} bytes the store sent"
                        f" {len(block)}. Use a store that knows ranges."
                    )
                self._block = block
            self.requests += 1
            self._block_start, start = self._position, 0
            self._ahead = min(2 * self._ahead, READ_BYTES)
        data = self._block[start : start + len(view)]
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _fetch(self, count: int) -> bytes:
        self._file.seek(self._position)
        data: bytes = self._file.read(count)
        return data

    def close(self) -> None:
        """Close this file and the store's."""
        if not self.closed:
            self._block = b""
            self._file.close()
        super().close()


class StoreWriter:
    """A file of a store that is being written.

    :ivar written: bytes so far
    :ivar made: time of modification and version of the object, once it is complete; ``None`` if the store does not return them
    """

    def __init__(self, file: Any, path: str, location: str) -> None:
        self.written = 0
        self.made: Made | None = None
        self._file = file
        self._path = path
        self._location = location

    def write(self, data: bytes) -> int:
        """Append all of ``data``."""
        with answering("write", self._path, self._location):
            self._file.write(data)
        self.written += len(data)
        return len(data)

    def check(self, size: int) -> None:
        """Check that all content was written."""
        if self.written != size:
            raise FileError(f"{self._path!r} came with {self.written} bytes instead of {size}. Try again.")
