"""The lock of a target directory, under which a sync writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files import Storage


@contextmanager
def locked(storage: Storage, timeout: float, *, dry_run: bool) -> Iterator[None]:
    """Lock the directory, and remove unfinished files after a signal. A dry run takes no lock, since that creates a missing root.

    :param timeout: seconds to wait for the lock
    :raises DirectoryBusyError: if another sync holds the lock all that time
    """
    if dry_run:
        yield
        return
    with storage.exclusive(timeout):
        try:
            yield
        except KeyboardInterrupt:
            # A signal can arrive after a file was created but before the block that removes it was entered.
            with suppress(FileError):  # the next sync tries again
                storage.clean(0)
            raise
