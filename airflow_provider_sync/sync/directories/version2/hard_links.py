"""Files with several names (hard links): fetch the content of one name, and copy it to the others."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from types import TracebackType
from typing import Self

from airflow_provider_sync.files.spooled_list import SpooledList
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.sync.directories.version2.plan import Step
from airflow_provider_sync.sync.directories.version2.write_log import WriteLog


class HardLinks:
    """The hard links of one directory sync; a context manager that removes its temporary files at the end.

    :param firsts: names to which other names refer; see :attr:`.FileEntry.same_as`
    :param written: has the entries of the first names once they were written
    """

    def __init__(self, firsts: Collection[str], written: WriteLog) -> None:
        self._firsts = firsts
        self._written = written
        self._chosen: dict[str, str] = {}
        self._later = SpooledList(Step)

    def leave(self, step: Step) -> bool:
        """Tell whether a file has to wait until another of its names has arrived; call this in the order of paths."""
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
        """Yield the files that waited, each with the entry that now has its content; ``None`` if that did not arrive."""
        for step in self._later:
            if step.source is not None and step.source.same_as is not None:
                entry = self._written.kept(self._chosen[step.source.same_as])
                yield step, entry if entry is not None and entry.size == step.source.size else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._later.close()
