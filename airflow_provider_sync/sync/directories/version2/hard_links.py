"""Files that come under several names (hard links): the content of the first name is fetched, the others are copied from it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from types import TracebackType
from typing import Self

from airflow_provider_sync.files.spooled_list import SpooledList
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.sync.directories.version2.plan import Step
from airflow_provider_sync.sync.directories.version2.write_log import WriteLog


class HardLinks:
    """The names of one sync of one directory; a context manager, which removes what is on disk.

    :param firsts: names to which others refer; see :attr:`.FileEntry.same_as`
    :param written: tells what became of the first names
    """

    def __init__(self, firsts: Collection[str], written: WriteLog) -> None:
        self._firsts = firsts
        self._written = written
        self._chosen: dict[str, str] = {}
        self._later = SpooledList(Step)

    def leave(self, step: Step) -> bool:
        """Return whether a file is left until another name of it has come; call it in the order of paths."""
        if not self._firsts or step.source is None:
            return False
        first = step.source.same_as or step.path
        if first not in self._firsts:
            return False
        if first in self._chosen:
            self._later.append(step)
            return True
        # The first name itself, or another one if that is excluded or unchanged.
        self._chosen[first] = step.path
        self._written.keep(step.path)
        return False

    def left(self) -> Iterator[tuple[Step, TreeEntry | None]]:
        """Yield the files that were left, and what has their content now; ``None`` if it did not come."""
        for step in self._later:
            if step.source is not None and step.source.same_as is not None:
                entry = self._written.kept(self._chosen[step.source.same_as])
                yield step, entry if entry is not None and entry.size == step.source.size else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._later.close()
