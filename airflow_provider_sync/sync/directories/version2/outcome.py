"""What came of a sync of one directory: what was done, what could not be, and what the user should know of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_sync.config import TargetDirectory
from airflow_provider_sync.sync.directories.problems import (
    clashing,
    gone,
    in_use,
    never_at_rest,
    not_synced,
    nothing_selected,
    restless,
    skipped,
    unkept,
    without_permissions,
)
from airflow_provider_sync.sync.directories.version2.apply import Applying
from airflow_provider_sync.sync.directories.version2.fetch import Fetching
from airflow_provider_sync.sync.directories.version2.listings import SourceListing, TargetListing
from airflow_provider_sync.sync.directories.version2.local_copies import LocalCopies
from airflow_provider_sync.sync.directories.version2.plan import Checksum
from airflow_provider_sync.sync.directories.version2.settle import Settling
from airflow_provider_sync.sync.directories.version2.written_so_far import Written


class Outcome:
    """What came of a sync so far.

    :param directory: its options
    :param written: counts what was written
    :param without_permissions: the target, for messages, if it does not keep the permissions that are wanted
    :ivar unlisted: files that could not be compared, and why
    :ivar more_unlisted: number of such files besides, whose names the target cannot hold
    :ivar failed: files that could not be fetched or written, and why
    :ivar restless: files that changed at the source each time that they were requested
    :ivar gone: files that the source removed during the sync
    :ivar files_read: files of the target that were read to compare them
    :ivar in_use: directories that are gone at the source and that the system does not let go
    :ivar unkept: files that did not get the source's permissions, which the target does not keep
    :ivar has_digests: whether the source digests files
    :ivar changes: number of changes that are no files: directories
    """

    def __init__(self, directory: TargetDirectory, written: Written, *, without_permissions: str | None = None) -> None:
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
        self._written = written
        self._without_permissions = without_permissions

    @property
    def problems(self) -> dict[str, str]:
        """All files that could not be synced, and why."""
        return self.unlisted | self.failed

    @property
    def is_complete(self) -> bool:
        """Whether everything could be synced."""
        return not (self.problems or self.restless or self.gone)

    @property
    def may_delete(self) -> bool:
        """Whether what the source lacks may go: not after an error."""
        stuck = bool(self.restless) and not self._written.files
        return self._directory.delete and not stuck and (self._directory.skip_unreadable or not self.problems)

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return bool(self._written.files or self.touched or self.deleted or self.changes)

    def note_comparison(self, source: SourceListing, target: TargetListing, settling: Settling | None) -> None:
        """Note what could not be listed or digested."""
        self.unlisted |= {**source.unreadable, **target.unreadable, **source.impossible}
        self.more_unlisted = source.more_impossible
        if settling is not None:
            self.unlisted |= settling.unreadable
            self.gone |= settling.gone
            self.files_read, self.has_digests = settling.files_read, settling.has_digests

    def note_writes(self, applying: Applying, fetching: Fetching, copies: LocalCopies) -> None:
        """Note what was done, and what could not be fetched or written."""
        self.moved = copies.made
        self.touched, self.changes, self.deleted = applying.touched, applying.made, applying.deleted_files
        self.restless, self.in_use, self.unkept = applying.restless, applying.in_use, applying.unkept
        self.gone |= fetching.gone
        self.failed |= fetching.unreadable
        self.failed |= {path: str(error) for path, error in fetching.failed.items()}

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
        if self.restless and not self._written.files:
            raise never_at_rest(self.restless[0], self._directory.name)

    def _refuse(self, problems: Mapping[str, str], *, more: int = 0) -> None:
        if problems and not self._directory.skip_unreadable:
            raise not_synced(problems, self._directory.name, more=more, deleted=self.deleted)

    def is_proven(self, checksum: Checksum) -> bool:
        """Whether all files of the target have the digests of the source's."""
        return self.has_digests and checksum != "never" and self.is_complete

    def done(self) -> dict[str, Any]:
        """Return what was done so far, as fields of a report."""
        return {
            "protocol": 2,
            "files_added": self._written.added,
            "files_updated": self._written.updated,
            "files_deleted": self.deleted,
            "files_touched": self.touched,
            "files_moved": self.moved,
            "bytes_written": self._written.bytes,
        }

    def warnings(self, source: SourceListing) -> tuple[str, ...]:
        """Return what the user should know although the sync succeeded."""
        warnings = []
        if not self.has_digests:
            warnings.append("The source takes no digests, so files of equal size and time count as equal.")
        if source.files_left_out and not source.files:
            warnings.append(nothing_selected())
        if self._without_permissions is not None:
            warnings.append(without_permissions(self._without_permissions))
        if source.clashes.first is not None:
            warnings.append(clashing(*source.clashes.first))
        if source.links_skipped:
            links = "symbolic link of the source was" if source.links_skipped == 1 else "symbolic links of the source were"
            warnings.append(f"{source.links_skipped} {links} left out; to sync them, set links to keep or follow.")
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
