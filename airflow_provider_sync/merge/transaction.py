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
from contextlib import ExitStack, contextmanager, suppress

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.listed_changes import MergeCounts, MergeResult, StagedTable
from airflow_provider_sync.databases.schema import STAGING_PREFIX, Table
from airflow_provider_sync.exceptions import SyncError, TableError
from airflow_provider_sync.merge.direct_load import DirectLoad, DirectRows
from airflow_provider_sync.merge.foreign_key_order import parents_first
from airflow_provider_sync.merge.merge import TableMerge
from airflow_provider_sync.merge.staging import naming_temporary_tables, staging_digest
from airflow_provider_sync.merge.without_rollback import Remains

__all__ = ["DirectRows", "MergeCounts", "MergeResult", "StagedTable", "merge_tables"]


def merge_tables(
    database: Database,
    connection: Connection,
    staged: Sequence[StagedTable | DirectRows],
    *,
    check: Callable[[StagedTable | DirectRows, MergeCounts], None] | None = None,
    verify: Callable[[StagedTable | DirectRows], None] | None = None,
    before_commit: Callable[[], None] | None = None,
    dry_run: bool = False,
) -> list[MergeResult]:
    """Merge all of ``staged``, or nothing.

    :param connection: in autocommit mode, outside any transaction
    :param check: called with what a table's merge would do, before any row is touched; what it raises stops the merge of all
    :param verify: called for each table after its own verification, inside the transaction; what it raises rolls it back
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
                        check(merge.staged, merge.counts)
            listing = [merge for merge in ordered if isinstance(merge, TableMerge)]
            with database.translate_errors():
                changes = [merge.listed for merge in listing]
                references_kept = database.foreign_keys.references_kept(connection, changes)
                for merge, last in zip(listing, database.foreign_keys.written_last(connection, changes), strict=True):
                    merge.last = last
            if dry_run:
                raise _DryRunEnded
            remains.writing = any(isinstance(merge, DirectLoad) or merge.counts.changes for merge in merges)
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
                        verify(merge.staged)
            if before_commit:
                before_commit()
        return [merge.result() for merge in merges]


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
def _prepared(
    database: Database, connection: Connection, staged: StagedTable | DirectRows, number: int
) -> Iterator[TableMerge | DirectLoad]:
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

        merge = TableMerge(database, connection, staged)
        merge.work = work_table("work")
        merge.parked = work_table("park")
        if merge.left_alone:
            merge.kept = _table_to_keep(database, connection, merge, name=f"{prefix}_kept{number}")
            if merge.kept:
                dropped_in_the_end(merge.kept)
        yield merge


def _table_to_keep(database: Database, connection: Connection, merge: TableMerge, *, name: str) -> Table | None:
    """Make the table for columns that are left alone; ``None`` where it cannot be made, as few merges ever need it."""
    columns = (*merge.key, *merge.left_alone)
    try:
        with database.translate_errors():
            return database.ddl.create_staging(
                connection, merge.target, columns, name=name, primary_key=merge.staged.key, temporary=True
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
