"""The JSON values that the steps of a directory sync pass on; they refer to files and never contain them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.report_table import format_bytes
from airflow_provider_sync.sync.step_value import StepValue


class FileBatch(StepValue, frozen=True, kw_only=True):
    """A range of the sorted paths, to be downloaded or already downloaded.

    :ivar directory: the name under which the server offers the directory
    :ivar first: first path
    :ivar last: last path, inclusive
    :ivar files: number of files in the range that differed in the comparison; 0 if files only have to be deleted
    :ivar bytes: size of the files to download, as far as known
    :ivar max_deletes: maximum number of target files to remove because they are in the way; ``None`` for no limit
    :ivar added: number of new files
    :ivar updated: number of replaced files
    :ivar touched: number of files of which only the modification time or the permissions changed
    :ivar moved: number of files made from other files of the target
    :ivar deleted: number of files that the source lacks and that were in the way of others
    :ivar made: number of directories that were created, or whose permissions changed
    :ivar missing: number of files that could not be fetched or written
    :ivar files_read: number of target files that were read for the comparison
    :ivar bytes_written: number of bytes of content written to the target
    :ivar warnings: warnings about these files for the user
    :ivar proven: whether all files are as the source announced them
    """

    directory: str
    first: str = ""
    last: str = ""
    files: int = 0
    bytes: int = 0
    max_deletes: int | None = None
    added: int = 0
    updated: int = 0
    touched: int = 0
    moved: int = 0
    deleted: int = 0
    made: int = 0
    missing: int = 0
    files_read: int = 0
    bytes_written: int = 0
    warnings: tuple[str, ...] = ()
    proven: bool = True

    @property
    def summary(self) -> str:
        """A sentence about the files to download."""
        size = f" ({format_bytes(self.bytes)})" if self.bytes else ""
        return f"Directory {self.directory!r}: {self.files:,} files{size}, {self.first!r} to {self.last!r}."


class ComparedDirectory(msgspec.Struct, frozen=True, kw_only=True):
    """The result of comparing a directory.

    :ivar report: the report, ``unchanged``, or ``planned`` if source and target differ
    :ivar batches: the batches to download; one without files if files only have to be deleted, none if nothing differs
    """

    report: DirectoryReport
    batches: tuple[FileBatch, ...] = ()


def report_of_batches(
    report: DirectoryReport, batches: Sequence[FileBatch], *, deleted: int, changed: bool, came: int, dry_run: bool
) -> DirectoryReport:
    """Return the report of all steps together.

    :param report: report of the last step, with the source's current files
    :param batches: the results of the downloads
    :param deleted: number of files that the last step deleted, or would delete
    :param changed: whether the last step changed anything else
    :param came: number of files that the source has and the target lacks
    """
    counts = {
        "files_added": sum(batch.added for batch in batches),
        "files_updated": sum(batch.updated for batch in batches),
        "files_touched": sum(batch.touched for batch in batches),
        "files_moved": sum(batch.moved for batch in batches),
        "files_deleted": deleted + sum(batch.deleted for batch in batches),
    }
    changed = changed or any(counts.values()) or any(batch.made for batch in batches)
    proven = all(batch.proven for batch in batches) and not dry_run
    warnings = [*report.warnings, *(warning for batch in batches for warning in batch.warnings)]
    if came and proven:
        warnings.append(f"{came} files came to the source since it was compared; the next sync brings them.")
    return msgspec.structs.replace(
        report,
        status=("planned" if dry_run else "changed") if changed else "unchanged",
        files_read=sum(batch.files_read for batch in batches),
        bytes_written=sum(batch.bytes_written for batch in batches),
        verified=report.verified if proven else None,
        warnings=tuple(warnings),
        **counts,
    )
