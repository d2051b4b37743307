"""The lock of a target directory, under which a sync writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files import Storage


@contextmanager
def locked(storage: Storage, timeout: float, *, dry_run: bool) -> Iterator[None]:
    """Lock the directory, and remove unfinished files after a signal. Do nothing in a dry run: the lock makes a missing root.

    :param timeout: seconds to wait
    :raises DirectoryBusyError: when another sync holds the lock all that time
    """
    if dry_run:
        yield
        return
    with storage.exclusive(timeout):
        try:
            yield
        except KeyboardInterrupt:
            # A signal can come after a file was created and before the block that removes it was entered.
            with suppress(FileError):  # the next sync tries again
                storage.clean(0)
            raise
