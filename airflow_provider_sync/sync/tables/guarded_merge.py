"""The last step of a table's sync, in one go and as a task: the merge within its guards, its verification, and the reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.locks import TableLock
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import NOTHING_CHANGED, SourceChangedError, SyncError, TableError
from airflow_provider_sync.merge.gone_columns import phrases
from airflow_provider_sync.merge.transaction import MergeCounts, MergeResult, merge_tables
from airflow_provider_sync.merge.without_rollback import warning_of
from airflow_provider_sync.report import Status, TableReport, Verified
from airflow_provider_sync.sync.guards import check_deletes
from airflow_provider_sync.sync.tables.staged_rows import StagedRows
from airflow_provider_sync.sync.tables.target import Target, resolve_target
from airflow_provider_sync.sync.traffic import Measure


@dataclass(frozen=True, slots=True)
class TableToMerge:
    """A table of one transaction, with what was staged of it and what that cost until now."""

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
    others: Sequence[TargetTable] = (),
) -> list[TableReport]:
    """Merge what was staged, in one transaction, within the guards; tables that equal their source are left alone.

    :param lock: of all these tables; nothing is committed once it is lost
    :param others: tables of the run outside this transaction, which no trigger of a merged table may change: they were compared
        with their source already
    :param dry_run: report what would change, and write nothing
    :return: one report for each table
    :raises SyncError: when any of them cannot be merged; nothing is changed then
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
    """Return what tells a table of a transaction from the others: no two may have one target."""
    return str(table.target.table)


class _GuardedMerge:
    """One merge of several tables.

    :param tables: all of the transaction
    :param merging: those of them that do not equal their source
    :param others: tables of the run outside the transaction that triggers may not change
    :ivar verified: what was proven before the commit, beyond the comparison of rows, by target
    """

    def __init__(
        self,
        database: Database,
        connection: Connection,
        tables: Sequence[TableToMerge],
        merging: Sequence[TableToMerge],
        others: Sequence[TargetTable],
        lock: TableLock,
    ) -> None:
        self.database = database
        self.connection = connection
        self.merging: Mapping[str, TableToMerge] = {_key(table): table for table in merging}
        self.lock = lock
        self.bystanders = _Bystanders(
            database,
            connection,
            equal=[table.target for table in tables if table.rows.is_equal],
            others=others,
            merged=[table.target for table in merging],
        )
        self.verified: dict[str, Verified | None] = {}
        self.rest: dict[str, object] = {}
        self.forgotten: dict[str, tuple[str, ...]] = {}

    def run(self, *, dry_run: bool) -> list[MergeResult]:
        """Merge, and return the results in the order of the tables."""
        staged = [table.rows.staged for table in self.merging.values()]
        try:
            return merge_tables(
                self.database,
                self.connection,
                staged,
                check=self._check,
                verify=self._verify,
                before_commit=self._check_before_commit,
                dry_run=dry_run,
            )
        except SyncError as error:
            # The merge knows tables by what they are called at the target.
            table = self.merging.get(error.table or "")
            error.table = error.table if table is None else table.target.name
            if isinstance(error, TableError) and not error.retryable and self._source_moved():
                # Rows of two moments may break a unique key, or a check, that each moment keeps.
                raise _moved_meanwhile(error) from error
            raise

    def _source_moved(self) -> bool:
        return any(table.rows.source_changed() for table in self.merging.values())

    def _check(self, target: Table, counts: MergeCounts) -> None:
        self.bystanders.begin()
        self.forgotten[str(target)] = counts.forgotten
        rows = self.merging[str(target)].rows
        if counts.forgotten or self.bystanders.may_change(rows.target):
            self.rest[str(target)] = rows.digest_rest(self.connection)
        check_deletes(
            rows.target.options, deletes=counts.deleted, present=counts.target_rows, offered=rows.rows_total, unit="rows"
        )

    def _verify(self, target: Table) -> None:
        table = self.merging[str(target)]
        if not table.target.options.verify:
            return
        # Segments that moved are asked for again.
        with table.measure.counting():
            self.verified[str(target)] = table.rows.verify(self.connection)
            if str(target) in self.rest and not self._rest_matches(str(target), table.rows):
                raise self.bystanders.changed(table.target, self.forgotten[str(target)])

    def _rest_matches(self, target: str, rows: StagedRows) -> bool:
        return rows.digest_rest(self.connection) == self.rest[target] and rows.whole_target_matches(self.connection)

    def _check_before_commit(self) -> None:
        self.bystanders.check()
        self.lock.check()


def _moved_meanwhile(error: TableError) -> SourceChangedError:
    moved = SourceChangedError(
        f"{error} The source changed while its rows were read, which may be the reason: compare and download once more."
    )
    moved.table = error.table
    return moved


class _Bystanders:
    """Tables of the run that were compared already, while others are merged whose triggers may write to them.

    :param equal: those of this transaction that equal their source
    :param others: those of other transactions
    """

    def __init__(
        self,
        database: Database,
        connection: Connection,
        *,
        equal: Sequence[Target],
        others: Sequence[TargetTable],
        merged: Sequence[Target],
    ) -> None:
        self.database = database
        self.connection = connection
        self.triggers = {name: target for target in merged for name in target.table.triggers}
        self.merged = merged
        self.unseen: list[Target] = []
        self.computes = any(column.generated for target in merged for column in target.table.columns)
        self.equal = equal
        self.others = others
        self.watched: list[tuple[Target, object]] | None = None

    def begin(self) -> None:
        """Note their fingerprints before the first write, if there is a trigger."""
        if self.watched is None:
            unseen = self.database.catalog.has_unseen_triggers
            self.unseen = [target for target in self.merged if unseen(self.connection, target.table)]
            self.triggers |= {f"one of {target.name!r} that this user may not see": target for target in self.unseen}
            self.watched = [(target, self._fingerprint(target)) for target in self._targets()]

    def _targets(self) -> Iterator[Target]:
        if self.triggers:
            yield from self.equal
            for options in self.others:
                yield resolve_target(self.database, self.connection, options)

    def _fingerprint(self, target: Target) -> object:
        return self.database.reader.fingerprint(self.connection, target.table)

    def check(self) -> None:
        """Compare their fingerprints with those before, since their reports say that they equal the source.

        :raises TableError: when one differs
        """
        for target, before in self.watched or ():
            if self._fingerprint(target) != before:
                raise self.changed(target)

    def may_change(self, target: Target) -> bool:
        """Whether a merge may change rows of a table that are not staged: by a trigger, or by a foreign key.

        Actions of foreign keys are foreseen, but for those to generated columns, whose new values only the server knows.
        """
        if self.triggers:
            return True
        return self.computes and target.table.foreign_keys and self.database.foreign_keys.may_act(self.connection)

    def changed(self, target: Target, forgotten: Sequence[str] = ()) -> TableError:
        """Return the error for a table with rows that were equal to the source, and are not any more.

        :param forgotten: columns of the table that the merge has set to NULL
        """
        culprit, remedy = "an action of a foreign key to a generated column", "Drop the foreign key at the target"
        if self.triggers:
            culprit, remedy = (
                f"a trigger ({', '.join(self.triggers)}) of a table that was merged",
                "Drop the trigger at the target",
            )
        elif forgotten:
            culprit = f"a column that is computed from {', '.join(map(repr, forgotten))}, which gone_columns sets to NULL,"
            remedy = "Drop what depends on that column at the target, set gone_columns to 'keep'"
        return TableError(
            f"Table {target.name!r} was compared with the source already, and has changed since: {culprit} changed it, or"
            " somebody else did meanwhile.",
            NOTHING_CHANGED,
            f"{remedy}, or leave one of the tables out.",
        )


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
    if not dry_run:
        if counts.changes and table.target in merge.bystanders.unseen:
            warnings.append(
                f"Table {table.target.name!r} has triggers that this user may not see, which use other tables and fire for rows"
                " that a sync changes."
            )
        doubt = rows.doubt(verified) if table.target.options.verify else None
        warnings += filter(None, (doubt, warning_of(table.target.table)))
    return TableReport(
        name=table.target.name,
        status=_status(table, has_changes=bool(counts.changes or counts.forgotten), dry_run=dry_run),
        protocol=rows.protocol,
        rows_total=rows.rows_total,
        rows_received=rows.rows_received,
        rows_inserted=counts.inserted,
        rows_updated=counts.updated,
        rows_deleted=counts.deleted,
        verified=verified or ("rows" if result.verified_rows else None),
        schema_changes=(*table.target.schema_changes, *phrases(counts.forgotten)),
        orphans=result.orphans,
        warnings=tuple(warnings),
        **table.measure.so_far(),
    )


def _status(table: TableToMerge, *, has_changes: bool, dry_run: bool) -> Status:
    if not (has_changes or table.target.schema_changes):
        return "unchanged"
    return "planned" if dry_run else "changed"
