"""Check that this process may write to a database file and to its folder, where its engine makes other files."""

from __future__ import annotations

import os
from pathlib import Path

from airflow_provider_sync.exceptions import ReadOnlyError

_ADVICE = "Give the user of this process write permission, mount the disk for writing, or name another path."


def check_file_writable(file: Path) -> None:
    """Check that an existing database file and its folder can be written.

    :raises ReadOnlyError: if one of them cannot
    """
    if not os.access(file, os.W_OK):
        raise ReadOnlyError(f"The database file {str(file)!r} can be read, but not written.", _ADVICE)
    check_folder_writable(file)


def check_folder_writable(file: Path) -> None:
    """Check that a database file, which may be missing, is in a folder in which files can be made.

    :raises ReadOnlyError: if none can
    """
    folder = file.absolute().parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ReadOnlyError(f"The folder {str(folder)!r} of the database {file.name!r} cannot be written.", _ADVICE)
