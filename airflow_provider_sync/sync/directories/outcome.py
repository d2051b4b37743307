"""The results and failures of one directory sync so far, and the errors and warnings that follow from them.

Both protocol versions record here what they read, write and fail to write.
"""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_sync.config import TargetDirectory
from airflow_provider_sync.exceptions import SyncError
from airflow_provider_sync.sync.directories.noted_files import NotedFiles
from airflow_provider_sync.sync.directories.problems import (
    all_unstable,
    clashing,
    gone,
    in_use,
    links_left_out,
    not_synced,
    nothing_selected,
    skipped,
    unkept,
    unstable,
    without_permissions,
)


class Outcome:
    """The results and failures of a sync so far; several threads may record failures.

    :param directory: the directory's options
    :param files_written: returns the number of files that were added or replaced
    :ivar unlisted: files that could not be compared, with reasons
    :ivar failed: files that could not be fetched or written, with reasons
    :ivar undone: number of failed files that were counted as done before a commit failed on them
    :ivar unstable: files that changed at the source each time they were requested
    :ivar gone: files that the source removed during the sync
    :ivar in_use: directories that the source removed and that the target's system refuses to remove
    :ivar unkept: files that did not get the source's permissions, since the target does not keep them
    :ivar files_read: number of target files that were read for the comparison
    :ivar has_digests: whether contents are compared
    :ivar touched: number of files of which only metadata was set
    :ivar moved: number of files made from other files of the target
    :ivar deleted: number of files and links that were deleted
    :ivar changes: number of other changes: directories that were created or removed, or whose permissions changed
    """

    def __init__(self, directory: TargetDirectory, files_written: Callable[[], int]) -> None:
        self.unlisted = NotedFiles()
        self.failed = NotedFiles()
        self.undone = 0
        self.unstable = NotedFiles()
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
        """Record a file that could not be fetched or written."""
        self.failed.add(path, str(error))

    def note_undone(self, path: str, error: SyncError) -> None:
        """Record a file that a commit could not write or delete."""
        self.undone += 1
        self.note_failed(path, error)

    @property
    def problems(self) -> NotedFiles:
        """All files that could not be synced, with reasons."""
        return NotedFiles(self.unlisted.named | self.failed.named, self.unlisted.more + self.failed.more)

    @property
    def is_complete(self) -> bool:
        """Whether all files were synced."""
        return not (self.problems or self.unstable or self.gone)

    @property
    def is_proven(self) -> bool:
        """Whether all files of the target have the digests of the source's."""
        return self.has_digests and self.is_complete

    @property
    def is_stuck(self) -> bool:
        """Whether no file was synced because all of them kept changing."""
        return bool(self.unstable) and not self._files_written()

    @property
    def may_delete(self) -> bool:
        """Whether files that the source lacks may be deleted: not after an error."""
        return self._directory.delete and not self.is_stuck and (self._directory.skip_unreadable or not self.problems)

    @property
    def changed(self) -> bool:
        """Whether anything was changed."""
        return bool(self._files_written() or self.touched or self.deleted or self.changes)

    def refuse(self, *, wrote: bool) -> None:
        """Raise an error if files could not be synced.

        :param wrote: whether all other files were synced; false before anything is written
        :raises FileError: naming these files, unless they may be skipped
        :raises FileChangedError: if no file was synced because all of them kept changing
        """
        self._refuse(self.problems, wrote=wrote)
        self.refuse_failed()

    def refuse_mixture(self) -> None:
        """Raise an error if files are not of the version that was listed, or for the reasons of :meth:`refuse`.

        The directory is as it was: its new version has not taken its place.
        """
        self.refuse(wrote=False)
        if self.unstable:
            raise all_unstable(next(iter(self.unstable.named)), self._directory.name)

    def refuse_failed(self) -> None:
        """Raise an error if files could not be fetched or written; see :meth:`refuse`."""
        self._refuse(self.failed)
        if self.is_stuck:
            raise all_unstable(next(iter(self.unstable.named)), self._directory.name)

    def _refuse(self, problems: NotedFiles, *, wrote: bool = True) -> None:
        if problems and not self._directory.skip_unreadable:
            name, more = self._directory.name, problems.more
            raise not_synced(problems.named, name, more=more, wrote=wrote, deleted=self.deleted)

    def warnings(
        self,
        *,
        no_digests: str,
        selects_nothing: bool,
        clash: tuple[str, str] | None,
        lost_permissions: str | None = None,
        links_skipped: int = 0,
    ) -> tuple[str, ...]:
        """Return the warnings of a successful sync.

        :param no_digests: the warning to use if contents were not compared
        :param selects_nothing: whether the source has files, but patterns select none of them
        :param clash: two names that some file systems consider equal
        :param lost_permissions: the target's name for messages, if it does not keep the requested permissions
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
        """Return the warnings about the files to write."""
        warnings = []
        if self.unkept:
            warnings.append(unkept(self.unkept.named, more=self.unkept.more))
        if self.in_use:
            warnings.append(in_use(self.in_use.named, more=self.in_use.more))
        if self.failed:
            warnings.append(skipped(self.failed.named, more=self.failed.more))
        if self.unstable:
            warnings.append(unstable(self.unstable.named, more=self.unstable.more))
        if self.gone:
            warnings.append(gone(self.gone.named, more=self.gone.more))
        return tuple(warnings)
