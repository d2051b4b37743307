"""What came of a sync of one directory so far: what was done, what could not be, and what follows from it.

By both versions of the protocol; whoever reads or writes files notes here what came of it.
"""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_sync.config import TargetDirectory
from airflow_provider_sync.exceptions import SyncError
from airflow_provider_sync.sync.directories.noted_files import NotedFiles
from airflow_provider_sync.sync.directories.problems import (
    clashing,
    gone,
    in_use,
    links_left_out,
    never_at_rest,
    not_synced,
    nothing_selected,
    restless,
    skipped,
    unkept,
    without_permissions,
)


class Outcome:
    """What came of a sync so far; several threads may note failures.

    :param directory: its options
    :param files_written: counts the files that came or were replaced
    :ivar unlisted: files that could not be compared, and why
    :ivar failed: files that could not be fetched or written, and why
    :ivar undone: number of those among them that seemed done, and that a commit could not do
    :ivar restless: files that changed at the source each time that they were requested
    :ivar gone: files that the source removed during the sync
    :ivar in_use: directories that are gone at the source and that the system does not let go
    :ivar unkept: files that did not get the source's permissions, which the target does not keep
    :ivar files_read: files of the target that were read to compare them
    :ivar has_digests: whether contents are compared
    :ivar touched: number of files of which only metadata was set
    :ivar moved: number of files that were made from others of the target
    :ivar deleted: number of files and links that were deleted
    :ivar changes: number of changes that are no files: directories that were made, removed, or given other permissions
    """

    def __init__(self, directory: TargetDirectory, files_written: Callable[[], int]) -> None:
        self.unlisted = NotedFiles()
        self.failed = NotedFiles()
        self.undone = 0
        self.restless = NotedFiles()
        self.gone = NotedFiles()
        self.in_use = NotedFiles()
        self.unkept = NotedFiles()
        self.files_read = 0
        self.has_digests = True
        self.touched = 0
        self.moved = 0
        self.deleted = 0
        self.changes = 0
        self._directory = directory
        self._files_written = files_written

    def note_failed(self, path: str, error: SyncError) -> None:
        """Note a file that could not be fetched or written."""
        self.failed.add(path, str(error))

    def note_undone(self, path: str, error: SyncError) -> None:
        """Note a file that a commit could not write or delete."""
        self.undone += 1
        self.note_failed(path, error)

    @property
    def problems(self) -> NotedFiles:
        """All files that could not be synced, and why."""
        return NotedFiles(self.unlisted.named | self.failed.named, self.unlisted.more + self.failed.more)

    @property
    def is_complete(self) -> bool:
        """Whether everything could be synced."""
        return not (self.problems or self.restless or self.gone)

    @property
    def is_proven(self) -> bool:
        """Whether all files of the target have the digests of the source's."""
        return self.has_digests and self.is_complete

    @property
    def is_stuck(self) -> bool:
        """Whether nothing came but files that never stood still."""
        return bool(self.restless) and not self._files_written()

    @property
    def may_delete(self) -> bool:
        """Whether what the source lacks may go: not after an error."""
        return self._directory.delete and not self.is_stuck and (self._directory.skip_unreadable or not self.problems)

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return bool(self._files_written() or self.touched or self.deleted or self.changes)

    def refuse(self) -> None:
        """Raise the errors of files that this sync could not deal with.

        :raises FileError: naming the files that could not be synced, unless they may be skipped
        :raises FileChangedError: when nothing came but files that never stand still
        """
        self._refuse(self.problems)
        self.refuse_failed()

    def refuse_mixture(self) -> None:
        """Raise the errors of files that are not of the version that was listed, besides those of :meth:`refuse`."""
        self.refuse()
        if self.restless:
            raise never_at_rest(next(iter(self.restless.named)), self._directory.name)

    def refuse_failed(self) -> None:
        """Raise the errors of files that could not be fetched or written; see :meth:`refuse`."""
        self._refuse(self.failed)
        if self.is_stuck:
            raise never_at_rest(next(iter(self.restless.named)), self._directory.name)

    def _refuse(self, problems: NotedFiles) -> None:
        if problems and not self._directory.skip_unreadable:
            raise not_synced(problems.named, self._directory.name, more=problems.more, deleted=self.deleted)

    def warnings(
        self,
        *,
        no_digests: str,
        selects_nothing: bool,
        clash: tuple[str, str] | None,
        lost_permissions: str | None = None,
        links_skipped: int = 0,
    ) -> tuple[str, ...]:
        """Return what the user should know although the sync succeeded.

        :param no_digests: what it means that contents are not compared
        :param selects_nothing: whether the source has files, and patterns select none of them
        :param clash: two names that some file systems take for one
        :param lost_permissions: the target, for messages, if it does not keep the permissions that are wanted
        :param links_skipped: number of symbolic links that the source left out
        """
        warnings = []
        if not self.has_digests:
            warnings.append(no_digests)
        if selects_nothing:
            warnings.append(nothing_selected())
        if lost_permissions is not None:
            warnings.append(without_permissions(lost_permissions))
        if clash is not None:
            warnings.append(clashing(*clash))
        if links_skipped:
            warnings.append(links_left_out(links_skipped))
        if self.unlisted:
            warnings.append(skipped(self.unlisted.named, more=self.unlisted.more))
        return (*warnings, *self.warnings_of_writes())

    def warnings_of_writes(self) -> tuple[str, ...]:
        """Return what the user should know of the files that were to be written."""
        warnings = []
        if self.unkept:
            warnings.append(unkept(self.unkept.named, more=self.unkept.more))
        if self.in_use:
            warnings.append(in_use(self.in_use.named, more=self.in_use.more))
        if self.failed:
            warnings.append(skipped(self.failed.named, more=self.failed.more))
        if self.restless:
            warnings.append(restless(self.restless.named, more=self.restless.more))
        if self.gone:
            warnings.append(gone(self.gone.named, more=self.gone.more))
        return tuple(warnings)
