"""The last step of a table's sync, however its rows came: the merge within its guards, and the report."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.locks import TableLock
from airflow_provider_sync.exceptions import NOTHING_CHANGED, SourceChangedError, SyncError, TableError
from airflow_provider_sync.merge.transaction import DirectRows, MergeCounts, MergeResult, StagedTable, merge_tables
from airflow_provider_sync.merge.without_rollback import warning_of
from airflow_provider_sync.report import TableReport, Verified
from airflow_provider_sync.sync.guards import check_deletes
from airflow_provider_sync.sync.tables.download import Download, Unchanged
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.traffic import Measure


class Entry:
    """One table on its way through the steps.

    :ivar result: of the merge, once there was one
    :ivar verified: what was proven before the commit, beyond the comparison of rows
    """

    def __init__(self, target: Target, measure: Measure, outcome: Download | Unchanged) -> None:
        self.target = target
        self.measure = measure
        self.outcome = outcome
        self.result: MergeResult | None = None
        self.verified: Verified | None = None

    @property
    def download(self) -> Download:
        """The rows that wait for their merge."""
        if isinstance(self.outcome, Download):
            return self.outcome
        raise TableError(f"Table {self.target.name!r} has nothing to merge.")


def merge_entries(
    database: Database, connection: Connection, entries: Sequence[Entry], *, lock: TableLock, dry_run: bool
) -> None:
    """Merge what was downloaded in one transaction, within the guards; entries that are unchanged are left alone.

    :param lock: of all these tables; nothing is committed once it is lost
    """
    bystanders = [entry.target for entry in entries if isinstance(entry.outcome, Unchanged)]
    entries = [entry for entry in entries if isinstance(entry.outcome, Download)]
    if not entries:
        return
    watch = _Bystanders(database, connection, bystanders, [entry.target for entry in entries])
    by_staged = {id(entry.download.staged): entry for entry in entries}

    def check(staged: StagedTable | DirectRows, counts: MergeCounts) -> None:
        watch.begin()
        entry = by_staged[id(staged)]
        offered = entry.download.rows_total
        check_deletes(entry.target.options, deletes=counts.deleted, present=counts.target_rows, offered=offered, unit="rows")

    def verify(staged: StagedTable | DirectRows) -> None:
        entry = by_staged[id(staged)]
        # Segments that moved are asked for again.
        entry.measure.resume()
        entry.verified = entry.download.verify(connection) if staged.verify else None
        if staged.verify and watch.triggers and not entry.download.rest_holds(connection):
            raise watch.changed(entry.target)
        entry.measure.pause()

    def before_commit() -> None:
        watch.check()
        lock.check()

    staged = [entry.download.staged for entry in entries]
    try:
        results = merge_tables(
            database, connection, staged, check=check, verify=verify, before_commit=before_commit, dry_run=dry_run
        )
    except SyncError as error:
        # The merge knows tables by what they are called at the target.
        error.table = next((entry.target.name for entry in entries if str(entry.target.table) == error.table), error.table)
        if isinstance(error, TableError) and not error.retryable and any(entry.download.source_moved() for entry in entries):
            # Rows of two moments may break a unique key, or a check, that each moment keeps.
            raise _moved_meanwhile(error) from error
        raise
    for entry, result in zip(entries, results, strict=True):
        entry.result = result


def _moved_meanwhile(error: TableError) -> SourceChangedError:
    moved = SourceChangedError(
        f"{error} The source changed while its rows were read, which may be the reason: compare and download once more."
    )
    moved.table = error.table
    return moved


class _Bystanders:
    """Tables of the run that are equal to the source, while others are merged whose triggers may write to them."""

    def __init__(self, database: Database, connection: Connection, equal: Sequence[Target], merged: Sequence[Target]) -> None:
        self.database = database
        self.connection = connection
        self.triggers = {name: target for target in merged for name in target.table.triggers}
        self.equal = equal if self.triggers else ()
        self.before: list[object] | None = None

    def begin(self) -> None:
        """Note what they are like before the first write."""
        if self.before is None:
            self.before = [self.database.reader.fingerprint(self.connection, target.table) for target in self.equal]

    def check(self) -> None:
        """See that they are as they were, since their reports say that they are equal to the source.

        :raises TableError: when one is not
        """
        for target, before in zip(self.equal, self.before or (), strict=False):
            if self.database.reader.fingerprint(self.connection, target.table) != before:
                raise self.changed(target)

    def changed(self, target: Target) -> TableError:
        """Return the error for a table with rows that were equal to the source, and are not any more."""
        names = ", ".join(self.triggers)
        return TableError(
            f"Table {target.name!r} was equal to the source, and is not any more: a trigger ({names}) of a table that was"
            " merged with it changed it, or somebody else did meanwhile.",
            NOTHING_CHANGED,
            "Drop the trigger at the target, or leave one of the tables out.",
        )


def report_of(entry: Entry, dry_run: bool) -> TableReport:
    """Put together what the steps found."""
    measured = entry.measure.so_far()
    if isinstance(entry.outcome, Unchanged):
        same = entry.outcome
        return TableReport(
            name=entry.target.name,
            status="unchanged",
            protocol=same.protocol,
            rows_total=same.rows,
            verified=same.verified,
            warnings=same.warnings,
            **measured,
        )
    download, result = entry.outcome, entry.result
    lasting = warning_of(entry.target.table) if not dry_run else None
    if result is None:
        raise TableError(f"Table {entry.target.name!r} was not merged.")
    counts = result.counts
    doubt = download.doubt() if entry.target.options.verify and not dry_run else None
    return TableReport(
        name=entry.target.name,
        status="unchanged" if not counts.changes else "planned" if dry_run else "changed",
        protocol=download.protocol,
        rows_total=download.rows_total,
        rows_received=download.rows_received,
        rows_inserted=counts.inserted,
        rows_updated=counts.updated,
        rows_deleted=counts.deleted,
        verified=entry.verified or ("rows" if result.verified_rows else None),
        orphans=result.orphans,
        warnings=(*download.warnings, *result.warnings, *filter(None, (doubt, lasting))),
        **measured,
    )
