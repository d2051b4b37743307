"""Refuse two names that the target's file system takes for one, such as ``a`` and ``A``, before anything is written."""

from __future__ import annotations

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files import NameClashes, Storage


def check_names(storage: Storage, clashes: NameClashes) -> None:
    """Refuse two names that would be one file at the target.

    One of them may be there already, and gone from the source: to write the new one and to remove the old one would leave none.

    :raises FileError: naming them
    """
    for path, other in clashes.pairs:
        if storage.is_one_name(path, other):
            raise FileError(
                f"{path!r} and {other!r} are one name on the file system of {storage.location}, so nothing was written. Exclude"
                " or rename one of them at the source; if one is only at the target, rename it there."
            )
