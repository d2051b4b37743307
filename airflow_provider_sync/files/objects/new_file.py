"""A large object that is being uploaded to a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress

from blake3 import blake3

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.objects.streams import StoreWriter
from airflow_provider_sync.files.objects.uploads import Made
from airflow_provider_sync.files.tree_writer import Take


class _GivenUpError(Exception):
    """Raised to end an upload without creating an object."""


class ObjectNewFile:
    """A :class:`~.tree_writer.NewFile` in a store; the object appears when :meth:`finish` returns.

    :param path: relative to the root
    :param location: the root, for messages
    :param upload: context of the upload, entered at once; leaving it without an exception creates the object
    :param on_complete: called when the object exists, with its time of modification and version if the store returns them
    :param on_end: called once, when this object is finished or discarded
    """

    def __init__(
        self,
        path: str,
        location: str,
        upload: AbstractContextManager[StoreWriter],
        *,
        on_complete: Callable[[Made | None], None],
        on_end: Callable[[], None],
    ) -> None:
        self.written = 0
        self.shares_blocks = False
        self._digest = blake3()
        self._path = path
        self._location = location
        self._upload: AbstractContextManager[StoreWriter] | None = upload
        self._writer = upload.__enter__()
        self._on_complete = on_complete
        self._on_end = on_end

    def read_written(self) -> Iterator[bytes]:
        """Yield nothing: no upload is resumed, and stores do not show unfinished uploads."""
        yield from ()

    def digest_written(self) -> bytes | None:
        """Return the digest of the written bytes."""
        return self._digest.digest()

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``."""
        self.written += self._writer.write(bytes(data))
        self._digest.update(data)

    def copy_range(self, from_path: str, offset: int, length: int, take: Take) -> None:
        """Refuse: stores cannot build an object from ranges of others.

        :raises FileError: always
        """
        raise FileError(f"{self._path!r} in {self._location} cannot be made of stretches of {from_path!r}. Write it as a whole.")

    def finish(self) -> None:
        """Complete the upload.

        :raises FileError: when it does not have the announced size; no object is created then
        """
        upload, self._upload = self._upload, None
        if upload is None:
            return
        try:
            upload.__exit__(None, None, None)
            self._on_complete(self._writer.made)
        finally:
            self._on_end()

    def discard(self) -> None:
        """Give up the upload; does nothing after the end."""
        upload, self._upload = self._upload, None
        if upload is None:
            return
        try:
            error = _GivenUpError()
            with suppress(_GivenUpError):
                upload.__exit__(_GivenUpError, error, None)
        finally:
            self._on_end()

    def keep(self) -> None:
        """Give up the upload: it cannot be resumed."""
        self.discard()
