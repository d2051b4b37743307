"""Walk a prefix in an object store that lists by key."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.objects.ordered_listing import Pages, in_path_order
from airflow_provider_sync.files.paths import can_travel, check_name
from airflow_provider_sync.files.patterns import PathFilter
from airflow_provider_sync.files.storage import OnUnreadable
from airflow_provider_sync.files.tree import TreeEntry


def can_be_file(path: str, size: int, on_unreadable: OnUnreadable | None) -> bool:
    """Whether an object has the name of a file; empty ones whose keys end in ``/`` only mark folders.

    :param path: the key, relative to the root
    :param on_unreadable: called with other objects whose names no file can have
    :raises FileError: for what ``on_unreadable`` would be called with
    """
    is_folder = not path or path.endswith("/")
    if is_folder and not size:
        return False
    if on_unreadable is None:
        check_name(path)
        return True
    # Under a name that differs from the folder's, so that what is in the folder is synced.
    return can_travel(path, on_unreadable, ending="/" if is_folder else "")


def walk_objects(
    pages: Pages,
    prefix: str,
    location: str,
    path_filter: PathFilter,
    on_unreadable: OnUnreadable | None,
    *,
    is_target: bool,
) -> Iterator[TreeEntry]:
    """Yield every selected object in the order of paths, page by page, without reading content.

    Left out are markers of folders (see :func:`can_be_file`) and, in a source, an object that is also the folder of others,
    after a call of ``on_unreadable``, as no disk can hold both.

    :param location: the root, for messages
    :param is_target: list such objects, too: a target has them between the download of a folder and the removal of the object
    :raises FileError: for what ``on_unreadable`` would be called with
    """
    last: TreeEntry | None = None
    for key, size, mtime_ns, version in in_path_order(pages, prefix):
        path = key[len(prefix) :]
        if not path_filter.selects(path) or not can_be_file(path, size, on_unreadable):
            continue
        if not is_target and last is not None and path.startswith(f"{last.path}/"):
            error = FileError(
                f"{last.path!r} in {location} is an object and also the folder of others. Rename one of them, or exclude it."
            )
            if on_unreadable is None:
                raise error
            on_unreadable(last.path, error)
        elif last is not None:
            yield last
        last = TreeEntry(path, "file", size, mtime_ns, 0, version)
    if last is not None:
        yield last
