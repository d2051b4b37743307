"""What the steps of one directory hand to each other: JSON values, which refer to files and never contain them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.report_table import format_bytes
from airflow_provider_sync.sync.step_value import StepValue


class FileBatch(StepValue, frozen=True, kw_only=True):
    """A range of the sorted paths, to be downloaded or downloaded already.

    :ivar directory: the name under which the server offers it
    :ivar first: first path
    :ivar last: last path, included
    :ivar files: of them that differed when they were compared; 0 where files only have to be deleted
    :ivar bytes: of the files to be downloaded, as far as it is known
    :ivar max_deletes: files of the target that may give way to others; ``None`` for any number
    :ivar added: files that came
    :ivar updated: files that were replaced
    :ivar touched: files of which only the time of modification or the permissions were changed
    :ivar moved: files that were made from others of the target
    :ivar deleted: files that the source lacks and that were in the way of others
    :ivar made: directories that were made, or of which the permissions were changed
    :ivar missing: files that could not be fetched or written
    :ivar files_read: files of the target that were read to compare them
    :ivar bytes_written: content written to the target
    :ivar warnings: what the user should know of these files
    :ivar proven: whether all of them are what the source announced
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
        """Which files to download."""
        size = f" ({format_bytes(self.bytes)})" if self.bytes else ""
        return f"Directory {self.directory!r}: {self.files:,} files{size}, {self.first!r} to {self.last!r}."


class ComparedDirectory(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparison of a directory found.

    :ivar report: ``unchanged``, or ``planned`` where source and target differ
    :ivar batches: what is to be downloaded; one without files where files only have to be deleted, none where nothing differs
    """

    report: DirectoryReport
    batches: tuple[FileBatch, ...] = ()


def report_of_batches(
    report: DirectoryReport, batches: Sequence[FileBatch], *, deleted: int, changed: bool, came: int, dry_run: bool
) -> DirectoryReport:
    """Return what all steps did together.

    :param report: of the last step, with what the source has now
    :param batches: what the downloads returned
    :param deleted: number of files that the last step deleted, or would delete
    :param changed: whether the last step did anything else
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
