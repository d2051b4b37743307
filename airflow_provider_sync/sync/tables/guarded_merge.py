"""Merge staged tables within their guards, verify them, and report; the last step of a sync in one task and in steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.locks import TableLock
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import ConfigurationError, SourceChangedError, SyncError, TableError, TriggerError
from airflow_provider_sync.merge.gone_columns import forgotten_in_words
from airflow_provider_sync.merge.merge_result import MergeCounts, MergeResult
from airflow_provider_sync.merge.transaction import merge_tables
from airflow_provider_sync.merge.without_rollback import warning_of
from airflow_provider_sync.report import Status, TableReport, Verified
from airflow_provider_sync.sync.guards import check_deletes
from airflow_provider_sync.sync.tables.altered_target import refuse_altered
from airflow_provider_sync.sync.tables.staged_rows import StagedRows, computes_otherwise
from airflow_provider_sync.sync.tables.target import Target, resolve_target
from airflow_provider_sync.sync.traffic import Measure


@dataclass(frozen=True, slots=True)
class TableToMerge:
    """A table of one transaction, with its staged rows and its costs until now."""

    rows: StagedRows
    measure: Measure

    @property
    def target(self) -> Target:
        """The table to merge into."""
        return self.rows.target


def merge_guarded(
    database: Database,
    connection: Connection,
    tables: Sequence[TableToMerge],
    *,
    lock: TableLock,
    dry_run: bool,
    others: Callable[[], Iterable[TargetTable]] = tuple,
) -> list[TableReport]:
    """Merge staged rows in one transaction, within the guards; skip tables that equal their source.

    :param lock: the lock of all these tables; if it is lost, nothing is committed
    :param others: returns tables of the run outside this transaction, which no trigger of a merged table may change
    :param dry_run: report what would change, and write nothing
    :return: one report for each table
    :raises SyncError: if any table cannot be merged; then nothing is changed
    """
    merging = [table for table in tables if not table.rows.is_equal]
    if not merging:
        return [_report_equal(table, dry_run=dry_run) for table in tables]
    merge = _GuardedMerge(database, connection, tables, merging, others, lock)
    results = dict(zip(map(_key, merging), merge.run(dry_run=dry_run), strict=True))
    return [
        _report_equal(table, dry_run=dry_run)
        if table.rows.is_equal
        else _report(table, results[_key(table)], merge, dry_run=dry_run)
        for table in tables
    ]


def _key(table: TableToMerge) -> str:
    """Return a unique key of a table within its transaction: the target's name, since no two tables share a target."""
    return str(table.target.table)


class _GuardedMerge:
    """One merge of several tables.

    :param tables: all tables of the transaction
    :param merging: the tables that differ from their source
    :param others: returns tables of the run outside the transaction, which triggers must not change
    :ivar verified: by target, what the verification before the commit proved beyond the comparison of rows
    """

    def __init__(
        self,
        database: Database,
        connection: Connection,
        tables: Sequence[TableToMerge],
        merging: Sequence[TableToMerge],
        others: Callable[[], Iterable[TargetTable]],
        lock: TableLock,
    ) -> None:
        self.database = database
        self.connection = connection
        self.merging: Mapping[str, TableToMerge] = {_key(table): table for table in merging}
        self.lock = lock
        self.equal = [table.target for table in tables if table.rows.is_equal]
        self.others = others
        self.verified: dict[str, Verified | None] = {}
        # The costs of work for all tables at once, such as the commit, count for the first.
        self.shared = merging[0].measure

    def run(self, *, dry_run: bool) -> list[MergeResult]:
        """Merge, and return the results in the order of the tables."""
        staged = [table.rows.staged for table in self.merging.values()]
        try:
            with self.shared.counting():
                return merge_tables(
                    self.database,
                    self.connection,
                    staged,
                    working=lambda target: self.merging[str(target)].measure.counting(instead_of=self.shared),
                    check=self._check,
                    verify=self._verify,
                    before_writes=self._refuse_altered,
                    before_commit=self._check_last,
                    beside=self._beside,
                    dry_run=dry_run,
                )
        except SyncError as error:
            # The merge names tables as the target does.
            table = self.merging.get(error.table or "")
            error.table = error.table if table is None else table.target.name
            if isinstance(error, TriggerError):
                raise
            if isinstance(error, TableError) and not error.retryable and self._source_moved():
                # Rows of two moments may violate a unique key or a check, although the rows of each moment satisfy it.
                raise _moved_meanwhile(error) from error
            raise

    def _source_moved(self) -> bool:
        return any(table.rows.source_changed() for table in self.merging.values())

    def _check(self, target: Table, counts: MergeCounts) -> None:
        rows = self.merging[str(target)].rows
        check_deletes(
            rows.target.options, deletes=counts.deleted, present=counts.target_rows, offered=rows.rows_total, unit="rows"
        )

    def _refuse_altered(self) -> None:
        refuse_altered(self.database, self.connection, [table.target for table in self.merging.values()])

    def _check_last(self) -> None:
        # On PostgreSQL only the writes lock a table against new triggers and foreign keys.
        self._refuse_altered()
        self.lock.check()

    def _verify(self, target: Table, computed_otherwise: Sequence[str]) -> None:
        table = self.merging[str(target)]
        if not table.target.options.verify:
            return
        self.verified[str(target)] = verified = table.rows.verify(self.connection)
        exact = [name for name in computed_otherwise if table.rows.carries(target.column(name))]
        if exact and verified is None:
            raise computes_otherwise(table.target.name, exact)

    def _beside(self) -> Iterator[Table]:
        """Yield the tables of the run that triggers must not change, with the columns of their modes."""
        for target in self._targets_beside():
            yield msgspec.structs.replace(target.table, columns=(*target.table.columns, *target.mode.columns))

    def _targets_beside(self) -> Iterator[Target]:
        yield from self.equal
        others = list(self.others())
        merged, places = (
            self.database.catalog.places_of(self.connection, [options.table_name for options in tables])
            for tables in ([table.target.options for table in self.merging.values()], others)
        )
        for options, place in zip(others, places, strict=True):
            # A table that is missing or invalid is reported in its own sync.
            with suppress(TableError, ConfigurationError):
                if place not in merged:
                    yield resolve_target(self.database, self.connection, options)


def _moved_meanwhile(error: TableError) -> SourceChangedError:
    moved = SourceChangedError(
        f"{error} The source changed while its rows were read, which may be the reason: compare and download once more."
    )
    moved.table = error.table
    return moved


def _report_equal(table: TableToMerge, *, dry_run: bool) -> TableReport:
    rows = table.rows
    return TableReport(
        name=table.target.name,
        status=_status(table, has_changes=False, dry_run=dry_run),
        protocol=rows.protocol,
        rows_total=rows.rows_total,
        verified=rows.verified,
        schema_changes=table.target.schema_changes,
        warnings=rows.warnings,
        **table.measure.so_far(),
    )


def _report(table: TableToMerge, result: MergeResult, merge: _GuardedMerge, *, dry_run: bool) -> TableReport:
    rows, counts, verified = table.rows, result.counts, merge.verified.get(_key(table))
    warnings = [*rows.warnings, *result.warnings]
    changed = bool(counts.changes or counts.forgotten)
    if not dry_run:
        doubt = rows.doubt(verified, changed=changed) if table.target.options.verify else None
        warnings += filter(None, (doubt, warning_of(table.target.table)))
    return TableReport(
        name=table.target.name,
        status=_status(table, has_changes=changed, dry_run=dry_run),
        protocol=rows.protocol,
        rows_total=rows.rows_total,
        rows_received=rows.rows_received,
        rows_inserted=counts.inserted,
        rows_updated=counts.updated,
        rows_deleted=counts.deleted,
        verified=verified or ("rows" if result.verified_rows else None),
        schema_changes=(*table.target.schema_changes, *forgotten_in_words(counts.forgotten)),
        orphans=result.orphans,
        warnings=tuple(warnings),
        **table.measure.so_far(),
    )


def _status(table: TableToMerge, *, has_changes: bool, dry_run: bool) -> Status:
    if not (has_changes or table.target.schema_changes):
        return "unchanged"
    return "planned" if dry_run else "changed"
