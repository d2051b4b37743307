"""Apply the work to the target: files, links and metadata first; deletions last, and only if nothing failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.file_errors import is_in_use
from airflow_provider_sync.files.spooled_list import SpooledList
from airflow_provider_sync.protocol.v2.file_messages import FileEntry
from airflow_provider_sync.sync.directories.problems import ROUNDS
from airflow_provider_sync.sync.directories.version2.compare import Work, bytes_of
from airflow_provider_sync.sync.directories.version2.fetch import Fetching
from airflow_provider_sync.sync.directories.version2.local_copies import LocalCopies
from airflow_provider_sync.sync.directories.version2.open_target import OpenTarget
from airflow_provider_sync.sync.directories.version2.plan import PERMISSIONS, Step
from airflow_provider_sync.sync.directories.version2.preflight import check_bytes
from airflow_provider_sync.sync.directories.version2.relist import relist
from airflow_provider_sync.sync.directories.version2.source_directory import SourceDirectory


class WorkWriter:
    """The writes of one sync of one directory."""

    def __init__(self, work: Work, source: SourceDirectory, target: OpenTarget, fetching: Fetching, copies: LocalCopies) -> None:
        self._work = work
        self._source = source
        self._target = target
        self._outcome = target.outcome
        self._fetching = fetching
        self._copies = copies

    def write(self, large_sizes: set[int]) -> None:
        """Write everything.

        :param large_sizes: sizes of the target's large files
        :raises SyncError: for errors that concern no single file
        """
        self._each(self._work.directories, self._make_directory)
        with SpooledList(Step) as rest:
            self._copies.run(self._work, large_sizes, rest)
            self._fetch(rest, total_bytes=self._work.bytes)
        self._fetching.commit()
        left = self._copies.copy_hard_links()
        self._fetch(left, total_bytes=bytes_of(left))
        self._each(self._work.links, self._make_link)
        self._each(self._work.touched, self._touch)
        self._fetching.commit()

    def delete(self) -> None:
        """Delete files, links and directories that the source lacks, and count them."""
        before = self._outcome.undone
        try:
            self._each(self._work.removed, self._remove)
            # Stores delete many objects with one request.
            self._fetching.commit()
        finally:
            self._outcome.deleted -= self._outcome.undone - before
        self._each(self._work.emptied, self._remove_directory)

    def date_directories(self, directories: Iterable[FileEntry]) -> None:
        """Set the times of directories to the source's, after the last change in them."""
        for entry in directories:
            if entry.mtime_ns:
                self._target.writer.date_directory(entry.path, entry.mtime_ns)

    def _fetch(self, steps: SpooledList[Step] | list[Step], *, total_bytes: int) -> None:
        if not len(steps):
            return
        fetching = self._fetching
        fetching.run(steps, total_bytes=total_bytes)
        for _ in range(ROUNDS - 1):
            changed, fetching.changed = fetching.changed, []
            if not changed:
                break
            again = self._relist(changed)
            fetching.run(again, total_bytes=bytes_of(again))
        changed, fetching.changed = fetching.changed, []
        self._outcome.unstable.update(dict.fromkeys((step.path for step in changed), ""))

    def _relist(self, changed: Sequence[Step]) -> list[Step]:
        """Request the current size and time of files.

        :raises GuardError: if the current sizes exceed the limits
        """
        now = relist(self._source, [step.path for step in changed])
        self._outcome.failed.update(now.unreadable)
        self._outcome.gone.update(dict.fromkeys(now.gone, ""))
        again = [
            msgspec.structs.replace(step, source=msgspec.structs.replace(now.entries[step.path], mode=step.source.mode))
            for step in changed
            if step.path in now.entries and step.source is not None
        ]
        self._work.recount(changed, again)
        check_bytes(self._source.name, self._source.client.limits, self._work)
        return again

    def _each(self, steps: Iterable[Step], do: Callable[[Step], None]) -> None:
        """Call ``do`` for each step, and continue after failures."""
        for step in steps:
            try:
                do(step)
            except FileError as error:
                self._fetching.failures.note(step.path, error)

    def _make_directory(self, step: Step) -> None:
        if step.source is not None:
            self._target.writer.make_directory(step.path, self._target.metadata_of(step.source))
            self._outcome.changes += 1

    def _make_link(self, step: Step) -> None:
        if step.source is not None and step.source.link_target is not None:
            self._target.writer.make_link(step.path, step.source.link_target)
            self._target.written.add_link(step)

    def _touch(self, step: Step) -> None:
        if step.source is None or step.target is None:
            return
        metadata = self._target.metadata_of(step.source)
        entry = self._target.writer.set_metadata(step.path, metadata)
        if entry is not None:
            self._target.written.add_touched(entry, step.target.digest)
            if metadata.mode is not None and (entry.mode ^ metadata.mode) & PERMISSIONS:
                self._outcome.unkept.add(step.path)
                if (entry.mode, entry.mtime_ns) == (step.target.mode, step.target.mtime_ns):
                    return
        if step.source.kind == "file":
            self._outcome.touched += 1
        else:
            self._outcome.changes += 1

    def _remove(self, step: Step) -> None:
        self._target.writer.remove(step.path)
        if step.target is not None:
            self._target.written.deleted.append(step.target)
            self._outcome.deleted += 1

    def _remove_directory(self, step: Step) -> None:
        try:
            is_gone = self._target.writer.remove_directory(step.path)
        except FileError as error:
            if not is_in_use(error.__cause__):
                raise
            self._outcome.in_use.add(step.path)
            return
        if is_gone and step.target is not None:
            self._target.written.deleted.append(step.target)
            self._outcome.changes += 1
