"""What came of a sync of one directory so far: what was done, what could not be, and what follows from it.

By both versions of the protocol; whoever reads or writes files notes here what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airflow_provider_sync.config import TargetDirectory
from airflow_provider_sync.exceptions import SyncError
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
    :ivar more_unlisted: number of such files besides, whose names the target cannot hold
    :ivar failed: files that could not be fetched or written, and why
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
        self.unlisted: dict[str, str] = {}
        self.more_unlisted = 0
        self.failed: dict[str, str] = {}
        self.restless: tuple[str, ...] = ()
        self.gone: set[str] = set()
        self.in_use: list[str] = []
        self.unkept: list[str] = []
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
        self.failed[path] = str(error)

    @property
    def problems(self) -> dict[str, str]:
        """All files that could not be synced, and why."""
        return self.unlisted | self.failed

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
        self._refuse(self.problems, more=self.more_unlisted)
        self.refuse_failed()

    def refuse_mixture(self) -> None:
        """Raise the errors of files that are not of the version that was listed, besides those of :meth:`refuse`."""
        self.refuse()
        if self.restless:
            raise never_at_rest(self.restless[0], self._directory.name)

    def refuse_failed(self) -> None:
        """Raise the errors of files that could not be fetched or written; see :meth:`refuse`."""
        self._refuse(self.failed)
        if self.is_stuck:
            raise never_at_rest(self.restless[0], self._directory.name)

    def _refuse(self, problems: Mapping[str, str], *, more: int = 0) -> None:
        if problems and not self._directory.skip_unreadable:
            raise not_synced(problems, self._directory.name, more=more, deleted=self.deleted)

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
            warnings.append(skipped(self.unlisted, more=self.more_unlisted))
        return (*warnings, *self.warnings_of_writes())

    def warnings_of_writes(self) -> tuple[str, ...]:
        """Return what the user should know of the files that were to be written."""
        warnings = []
        if self.unkept:
            warnings.append(unkept(self.unkept))
        if self.in_use:
            warnings.append(in_use(self.in_use))
        if self.failed:
            warnings.append(skipped(self.failed))
        if self.restless:
            warnings.append(restless(self.restless))
        if self.gone:
            warnings.append(gone(self.gone))
        return tuple(warnings)
