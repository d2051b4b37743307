"""The steps of one directory by version 2; see :mod:`airflow_provider_sync.sync.directories.steps`.

A batch is a range of the paths, in the order of listings. Each download lists both sides again and does what its range still
needs, so that a retry finds what its failed try has done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from heapq import merge

import msgspec

from airflow_provider_sync.protocol.v2.file_messages import path_order
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.sync.directories.file_batch import ComparedDirectory, FileBatch
from airflow_provider_sync.sync.directories.problems import gone, never_at_rest, not_synced, restless, skipped
from airflow_provider_sync.sync.directories.version2.compare import Work
from airflow_provider_sync.sync.directories.version2.pipeline import DirectorySync
from airflow_provider_sync.sync.directories.version2.plan import Step
from airflow_provider_sync.sync.traffic import Measure

TASK_BYTES = 64 * 1024 * 1024
"""Bytes to download below which a batch is not worth a task of its own."""

FILE_BYTES = 256 * 1024
"""What a file costs besides its content, in bytes that could be downloaded meanwhile."""

_DELETES = ("removed", "remove_directory")


class StepSync(DirectorySync):
    """One step of the sync of one directory."""

    def compare(self, measure: Measure, batches: int) -> ComparedDirectory:
        """Compare both sides, check the guards, and cut what has to be done into batches.

        :param batches: most batches
        """
        with ExitStack() as lists:
            lists.callback(self.written.close)
            remembered = self._recall()
            source, target = lists.enter_context(self._listed(remembered))
            if source.unchanged and remembered is not None:
                return ComparedDirectory(report=self._unchanged(remembered, measure))
            work = lists.enter_context(Work())
            settling = self._find_work(source, target, work)
            self._check(source, target, work)
            warnings = self._warnings(source, settling)
            if not work:
                self._refuse()
                self._remember(source, target, work, (), warnings)
            report = DirectoryReport(
                name=self.directory.name,
                status="planned" if work else "unchanged",
                protocol=2,
                files_total=source.files,
                files_read=settling.files_read,
                verified="digest" if not work and self._is_proven(settling) else None,
                warnings=warnings,
                **measure.so_far(),
            )
            if not work:
                return ComparedDirectory(report=report)
            found = list(_batches(self.directory.name, work, batches)) or [FileBatch(directory=self.directory.name)]
        # The first batch carries what the comparison cost on to the next step.
        first = msgspec.structs.replace(found[0], files_read=settling.files_read, **measure.so_far())
        return ComparedDirectory(report=report, batches=(first, *found[1:]))

    def download(self, measure: Measure, batch: FileBatch, *, dry_run: bool) -> FileBatch:
        """Write what the range of a batch still needs; a file that stands in the way may be anywhere.

        :raises FileError: naming what could not be written, after everything else was
        """
        with ExitStack() as lists:
            lists.callback(self.written.close)
            source, target = lists.enter_context(self._listed())
            work = lists.enter_context(_WorkOfBatch(batch))
            settling = self._find_work(source, target, work)
            self._check(source, target, work)
            known = set(self.problems)
            if not dry_run:
                self._apply(source, target, work, lists)
            problems = {path: why for path, why in self.problems.items() if path not in known}
            if problems and not self.directory.skip_unreadable:
                raise not_synced(problems, self.directory.name)
            if self._restless and not self.written.files:
                raise never_at_rest(self._restless[0], self.directory.name)
            warnings = [skipped(problems)] if problems else []
            warnings += [restless(self._restless)] if self._restless else []
            warnings += [gone(self._gone)] if self._gone else []
            return msgspec.structs.replace(
                batch,
                added=work.added if dry_run else self.written.added,
                updated=work.updated if dry_run else self.written.updated,
                touched=work.touched_files if dry_run else self.touched,
                files_read=batch.files_read + settling.files_read,
                bytes_written=self.written.bytes,
                warnings=tuple(warnings),
                proven=settling.has_digests and not (problems or self._restless or self._gone),
                **measure.so_far(),
            )

    def delete(self, measure: Measure, batches: Sequence[FileBatch], *, dry_run: bool, lock_timeout: float) -> DirectoryReport:
        """Delete what the source lacks, and report what all steps did.

        :raises FileError: naming what could not be listed; nothing is deleted then
        """
        proven = all(batch.proven for batch in batches)
        with ExitStack() as lists:
            lists.callback(self.written.close)
            if not dry_run:
                lists.enter_context(self._alone(lock_timeout))
                # All downloads have ended: what is still unfinished is of a try that was killed.
                self.storage.clean(0)
            source, target = lists.enter_context(self._listed())
            work = lists.enter_context(_Deletes())
            settling = self._find_work(source, target, work)
            self._check(source, target, work)
            self._refuse()
            deleted = self._apply(source, target, work, lists) if (work or len(work.emptied)) and not dry_run else ()
            self._refuse()
            warnings = [*self._warnings(source, settling), *(warning for batch in batches for warning in batch.warnings)]
            if work.left and proven and not dry_run:
                warnings.append(f"{work.left} files came to the source since it was compared; the next sync brings them.")
            if proven and not (work.left or work.open or dry_run):
                self._remember(source, target, work, deleted, self._warnings(source, settling))
            removed = len(work.removed) if dry_run else self._deleted
            changed = removed or self._made or any(batch.files for batch in batches)
            return DirectoryReport(
                name=self.directory.name,
                status=("planned" if dry_run else "changed") if changed else "unchanged",
                protocol=2,
                files_total=source.files,
                files_added=sum(batch.added for batch in batches),
                files_updated=sum(batch.updated for batch in batches),
                files_deleted=removed,
                files_touched=sum(batch.touched for batch in batches),
                files_read=sum(batch.files_read for batch in batches),
                bytes_written=sum(batch.bytes_written for batch in batches),
                verified="digest" if proven and self._is_proven(settling) and not dry_run else None,
                warnings=tuple(dict.fromkeys(warnings)),
                **measure.so_far(),
            )


class _WorkOfBatch(Work):
    """What has to be done in the range of a batch; deletes wait until all batches are done."""

    def __init__(self, batch: FileBatch) -> None:
        super().__init__()
        self._first, self._last = path_order(batch.first), path_order(batch.last)

    def add(self, steps: Iterable[Step]) -> None:
        """Sort the steps of the range into the lists, and note what may be in the way."""
        super().add(step for step in steps if self._takes(step))

    def _takes(self, step: Step) -> bool:
        if step.action in _DELETES:
            if step.obstacle:
                self.obstacles.add(step.path)
            return False
        return self._first <= path_order(step.path) <= self._last


class _Deletes(Work):
    """What has to be deleted.

    :ivar left: files that differ, although everything was downloaded
    :ivar open: steps that are left besides: metadata, links, directories, and files that would have to be digested
    """

    def __init__(self) -> None:
        super().__init__()
        self.left = 0
        self.open = 0

    def add(self, steps: Iterable[Step]) -> None:
        """Take the deletes, and count the rest."""
        super().add(step for step in steps if self._takes(step))

    def _takes(self, step: Step) -> bool:
        if step.action in ("added", "changed"):
            self.left += 1
        elif step.action not in (*_DELETES, "same", "left"):
            self.open += 1
        return step.action in _DELETES


def _batches(name: str, work: Work, most: int) -> Iterator[FileBatch]:
    """Cut what has to be written, in the order of paths, into ranges of about the same cost.

    :param most: most batches
    """
    lists = (work.directories, work.files, work.links, work.touched)
    total = work.bytes + FILE_BYTES * sum(map(len, lists))
    enough = max(TASK_BYTES, -(-total // most))
    first = last = ""
    files = size = cost = 0
    for step in merge(*lists, key=lambda step: path_order(step.path)):
        first, last = first or step.path, step.path
        content = step.source.size if step.action in ("added", "changed") and step.source is not None else 0
        files, size, cost = files + 1, size + content, cost + content + FILE_BYTES
        if cost >= enough:
            yield FileBatch(directory=name, first=first, last=last, files=files, bytes=size)
            first = ""
            files = size = cost = 0
    if files:
        yield FileBatch(directory=name, first=first, last=last, files=files, bytes=size)
