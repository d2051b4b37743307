"""Find names that some file systems consider equal: they differ in case, or in Unicode composition.

Memory is bounded by the largest directory.
"""

from __future__ import annotations

import unicodedata

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.storage import Storage

Pair = tuple[str, str]


class NameClashes:
    """Finds clashing names among the paths of source and target, which are added in their order.

    :ivar first: the first two paths that clash, both at the source, if there are any
    """

    def __init__(self) -> None:
        self.first: Pair | None = None
        self._of_kinds: dict[bool, Pair] = {}
        self._directories: list[str] = []
        # Number of open directories that are known to exist at the source.
        self._at_source = 0
        self._names: list[dict[str, tuple[str, bool]]] = [{}]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The first two paths that differ in case, and the first two that are composed differently.

        One name of a pair may be the target's. A file system that distinguishes these pairs distinguishes all others.
        """
        return tuple(self._of_kinds.values())

    def refuse_on(self, storage: Storage) -> None:
        """Refuse two names that would be one file in a storage, before anything is written there.

        One of them may exist at the target only: writing the new name and then removing the old one would leave no file.

        :raises FileError: naming both
        """
        for path, other in self.pairs:
            if storage.is_one_name(path, other):
                raise FileError(
                    f"{path!r} and {other!r} are one name on the file system of {storage.location}, so nothing was written."
                    " Exclude or rename one of them at the source; if one is only at the target, rename it there."
                )

    def add(self, path: str, *, at_source: bool = True) -> None:
        """Add the next path; its parent directories need not have been added."""
        *above, name = path.split("/")
        if above != self._directories:
            self._enter(above, at_source)
        if at_source and self._at_source < len(above):
            for depth in range(self._at_source, len(above)):
                self._add_name(depth, above[depth], at_source)
            self._at_source = len(above)
        self._add_name(len(above), name, at_source)

    def _enter(self, above: list[str], at_source: bool) -> None:
        same = 0
        while same < min(len(above), len(self._directories)) and above[same] == self._directories[same]:
            same += 1
        del self._names[same + 1 :]
        self._at_source = min(self._at_source, same)
        for depth in range(same, len(above)):
            self._directories = above[:depth]
            self._add_name(depth, above[depth], at_source)
            self._names.append({})
        self._directories = above

    def _add_name(self, depth: int, name: str, at_source: bool) -> None:
        names = self._names[depth]
        key = name.lower() if name.isascii() else _key(name)
        first, first_at_source = names.setdefault(key, (name, at_source))
        if first == name:
            if at_source and not first_at_source:
                names[key] = name, True
            return
        above = "".join(f"{directory}/" for directory in self._directories[:depth])
        pair = above + first, above + name
        self._of_kinds.setdefault(_composed(first) == _composed(name), pair)
        if self.first is None and at_source and first_at_source:
            self.first = pair


def _key(name: str) -> str:
    """Return a key that is equal for names that some file system considers equal (Unicode: canonical caseless matching)."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
