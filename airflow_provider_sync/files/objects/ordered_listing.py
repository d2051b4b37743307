"""Sort the listing of an object store by path, without holding all of it.

Stores list by key, byte by byte, so ``a-b`` and ``a.txt`` come before ``a/x``. In the order of paths, which compares component by
component, they come after it. An object with such a name is therefore held until the listing has passed the folder that would
come before it. If too many are held, as of a million names ``part-00001``, the folder is listed ahead, and later skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.protocol.v2.file_messages import path_order

MAX_HELD = 5_000

# Characters that sort before the slash.
_BEFORE_SLASH = re.compile("[\x01-.]")
# No key has this character, so a prefix followed by it sorts after all keys with that prefix.
_LAST = "\U0010ffff"


class FoundObject(NamedTuple):
    """An object in a listing.

    :ivar mtime_ns: time of modification, in nanoseconds since the epoch; 0 if the store does not return it
    :ivar version: version of its content, such as its ETag; empty if the store returns none
    """

    key: str
    size: int
    mtime_ns: int
    version: bytes


class PageTokens:
    """Checks the tokens by which a store names the next page of one listing."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def next(self, token: str | None, *, is_last: bool) -> str | None:
        """Return the token that requests the next page; ``None`` after the last one.

        :param is_last: whether the store says that there are no more pages
        :raises FileError: for a listing that is cut, or repeats a token
        """
        if is_last:
            return None
        if not token or token in self._seen:
            problem = "names the same page twice" if token else "does not say how to ask for the next page"
            raise FileError(f"The store lists more objects, but {problem}. Try again, or use another store.")
        self._seen.add(token)
        return token


class Pages(Protocol):
    """A listing, page by page, in the order of keys."""

    def __call__(self, prefix: str, after: str = "") -> Iterator[list[FoundObject]]:
        """Begin a listing.

        :param prefix: prefix of all keys
        :param after: only keys that come after this one
        """
        ...


def in_path_order(pages: Pages, prefix: str, *, max_held: int = MAX_HELD) -> Iterator[FoundObject]:
    """Yield the objects under a prefix in the order of paths.

    Memory is that of a few pages and of ``max_held`` objects.

    :param prefix: empty, or with a slash at its end
    :raises FileError: when the store does not list by key
    """
    held: list[FoundObject] = []
    ahead: set[str] = set()  # folders that were listed ahead
    listing = pages(prefix)
    page = next(listing, None)
    last = ""
    while page is not None:
        for found in page:
            if not found.key.startswith(prefix) or found.size < 0:
                raise FileError(f"The store lists {found.key!r} with {found.size} bytes below {prefix!r}. Use another store.")
            if found.key <= last:
                raise FileError(f"The store lists {found.key!r} after {last!r}, so not in the order of keys. Use another store.")
            last = found.key
        held += [found for found in page if not _is_in(found.key, prefix, ahead)] if ahead else page
        skipped = [folder for folder in ahead if last.startswith(folder)]
        ahead = {folder for folder in ahead if last < folder or last.startswith(folder)} if ahead else ahead
        if skipped:
            # A name may begin with the character `_LAST`, too.
            listing = pages(prefix, max(last, skipped[0] + _LAST))
        page = next(listing, None)
        if page is None:
            break
        held.sort(key=_order)
        free = 0
        while free < len(held):
            folder = _folder_to_come(held[free].key, len(prefix), last, ahead)
            if folder is None:
                yield held[free]
                free += 1
            elif last < folder and len(held) - free > max_held:
                yield from in_path_order(pages, folder, max_held=max_held)
                ahead.add(folder)
            else:
                break
        del held[:free]
    held.sort(key=_order)
    yield from held


def _order(found: FoundObject) -> bytes:
    return path_order(found.key)


def _folder_to_come(key: str, start: int, last: str, ahead: set[str]) -> str | None:
    """Return the first folder that precedes an object in the order of paths and may still be listed.

    :param start: index in the key at which the name below the prefix begins
    :param last: the key that was listed last
    :param ahead: folders that were listed ahead, which are left out
    """
    for found in _BEFORE_SLASH.finditer(key, start):
        folder = key[: found.start()] + "/"
        if (last < folder or last.startswith(folder)) and folder not in ahead:
            return folder
    return None


def _is_in(key: str, prefix: str, folders: set[str]) -> bool:
    end = key.find("/", len(prefix))
    while end >= 0:
        if key[: end + 1] in folders:
            return True
        end = key.find("/", end + 1)
    return False
