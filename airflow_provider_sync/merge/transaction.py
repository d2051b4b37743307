"""Make target tables equal to their staging tables, in one short transaction.

::

    work tables ── BEGIN ── list changes ── check ── delete ── park, update, insert ── delete last ── verify ── COMMIT
                            (plain reads)   guards   children  parents first           what was
                                                     first                             referred to

Only the rows that differ are touched, found by plain reads into a work table, so that nobody else is kept waiting. No DDL
stands between BEGIN and COMMIT, since MySQL commits at any. The statements are the engines'; see ``merge.md`` for where
each rule comes from. Other unique keys than the one that identifies rows are in :mod:`.unique_keys`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.listed_changes import MergeCounts, MergeResult, StagedTable
from airflow_provider_sync.databases.schema import STAGING_PREFIX, Table
from airflow_provider_sync.exceptions import SyncError, TableError
from airflow_provider_sync.merge.direct_load import DirectLoad, DirectRows
from airflow_provider_sync.merge.foreign_key_order import parents_first
from airflow_provider_sync.merge.merge import TableMerge, WorkTables, columns_left_alone
from airflow_provider_sync.merge.staging import naming_temporary_tables, staging_digest
from airflow_provider_sync.merge.table_write import TableWrite
from airflow_provider_sync.merge.without_rollback import Remains

__all__ = ["DirectRows", "MergeCounts", "MergeResult", "StagedTable", "merge_tables"]


def merge_tables(
    database: Database,
    connection: Connection,
    staged: Sequence[StagedTable | DirectRows],
    *,
    check: Callable[[Table, MergeCounts], None] | None = None,
    verify: Callable[[Table], None] | None = None,
    before_commit: Callable[[], None] | None = None,
    dry_run: bool = False,
) -> list[MergeResult]:
    """Merge all of ``staged``, or nothing.

    :param connection: in autocommit mode, outside any transaction
    :param check: called with each target and what its merge would do, before any row is touched; what it raises stops all merges
    :param verify: called with each target after its own verification, inside the transaction; what it raises rolls it back
    :param before_commit: called last; what it raises rolls everything back
    :param dry_run: list and check the changes, and write none
    :return: in the order of ``staged``
    :raises TableError: when the rows do not fit the table; all targets are as they were that can be rolled back
    :raises TableBusyError: when the target changed meanwhile; likewise
    """
    with ExitStack() as cleanup:
        merges = [cleanup.enter_context(_prepared(database, connection, entry, number)) for number, entry in enumerate(staged)]
        ordered = parents_first(connection, merges, lambda merge: merge.target)
        targets = [merge.target for merge in merges]
        remains = Remains(targets)
        with (
            remains.told(database),
            suppress(_DryRunEnded),
            database.foreign_keys.switched_off(connection, targets),
            database.transaction(connection),
        ):
            for merge in ordered:
                with _about(merge.target):
                    merge.list_changes()
                    if check:
                        check(merge.target, merge.counts)
            references_kept = _order_by_references(database, connection, ordered)
            if dry_run:
                raise _DryRunEnded
            remains.writing = any(merge.writes for merge in merges)
            with references_kept:
                for merge in ordered:
                    with _about(merge.target):
                        merge.prepare()
                        merge.release()
                for merge in reversed(ordered):
                    with _about(merge.target):
                        merge.delete()
                for merge in ordered:
                    with _about(merge.target):
                        merge.write()
                for merge in ordered:
                    with _about(merge.target):
                        merge.write_last()
                for merge in reversed(ordered):
                    with _about(merge.target):
                        merge.delete_last()
                for merge in ordered:
                    with _about(merge.target):
                        merge.finish()
            for merge in ordered:
                with _about(merge.target):
                    merge.verify()
                    if verify:
                        verify(merge.target)
            if before_commit:
                before_commit()
        return [merge.result() for merge in merges]


def _order_by_references(
    database: Database, connection: Connection, ordered: Sequence[TableWrite]
) -> AbstractContextManager[None]:
    """Postpone columns that refer to rows of tables that are written later.

    :return: what keeps references valid during the writes
    """
    with database.translate_errors():
        listed = [(write, changes) for write in ordered for changes in [write.listed] if changes is not None]
        changes = [changes for _, changes in listed]
        references_kept = database.foreign_keys.references_kept(connection, changes)
        for (write, _), last in zip(listed, database.foreign_keys.written_last(connection, changes), strict=True):
            write.postpone(last)
    return references_kept


@contextmanager
def _about(target: Table) -> Iterator[None]:
    """Have errors say which table they are about."""
    try:
        yield
    except SyncError as error:
        error.table = error.table or str(target)
        raise


class _DryRunEnded(Exception):
    """Rolls the transaction of a dry run back."""


@contextmanager
def _prepared(database: Database, connection: Connection, staged: StagedTable | DirectRows, number: int) -> Iterator[TableWrite]:
    """Make the work tables of one target before the transaction, and drop them after it."""
    with _about(staged.target):
        _check_columns(staged.target, staged.names)
    if isinstance(staged, DirectRows):
        yield DirectLoad(database, connection, staged)
        return
    _check_key(staged)
    prefix = f"{STAGING_PREFIX}{staging_digest(staged.target)}"
    with ExitStack() as cleanup:

        def dropped_in_the_end(table: Table) -> None:
            cleanup.push(lambda failure, *_: _drop(database, connection, table, failed=failure is not None))

        def work_table(purpose: str) -> Table:
            with naming_temporary_tables(database, staged.target):
                work = database.ddl.create_work_table(connection, staged.target, staged.key, name=f"{prefix}_{purpose}{number}")
            dropped_in_the_end(work)
            return work

        work, parked = work_table("work"), work_table("park")
        kept = _table_to_keep(database, connection, staged, name=f"{prefix}_kept{number}")
        if kept:
            dropped_in_the_end(kept)
        yield TableMerge(database, connection, staged, WorkTables(work=work, parked=parked, kept=kept))


def _table_to_keep(database: Database, connection: Connection, staged: StagedTable, *, name: str) -> Table | None:
    """Make the table for columns that are left alone.

    :return: ``None`` where there are none, and where it cannot be made, as few merges ever need it
    """
    columns = columns_left_alone(staged)
    if not columns:
        return None
    key = [staged.target.column(column) for column in staged.key]
    try:
        with database.translate_errors():
            return database.ddl.create_staging(
                connection, staged.target, (*key, *columns), name=name, primary_key=staged.key, temporary=True
            )
    except TableError as error:
        if error.retryable:
            raise
        return None


def _drop(database: Database, connection: Connection, work: Table, *, failed: bool) -> None:
    """Drop a work table; where that fails, end its session and the table with it: what was committed stands."""
    if connection.invalidated:
        return
    try:
        database.ddl.drop(connection, work)
    except (SQLAlchemyError, SyncError) as error:
        # The connection may be what failed, and the first error is the one to be told.
        if not failed:
            connection.invalidate(error)


def _check_columns(target: Table, names: Collection[str]) -> None:
    for column in target.columns:
        if column.required and column.name not in names:
            raise TableError(
                f"Table {str(target)!r}: column {column.name!r} is NOT NULL without a default, and the source does not"
                " send it. Give it a default, or let it be NULL."
            )


def _check_key(staged: StagedTable) -> None:
    for name in staged.key:
        if name not in staged.columns:
            raise TableError(
                f"Table {str(staged.target)!r}: the key column {name!r} is not staged. Staged are: {staged.columns}."
            )
