"""Make target tables equal to their staging tables, in one short transaction.

::

    work tables ── BEGIN ── list changes ── check ── delete ── park, update, insert ── delete last ── deferred ── verify ── COMMIT
                            (plain reads)   guards   children  parents first           what was       triggers
                                                     first                             referred to

Only rows that differ are written. They are listed in a work table by reads without locks, so that other sessions do not wait.
There is no DDL between BEGIN and COMMIT, since MySQL commits before any DDL. The statements are the engines';
``docs/contributing/merge-rules.md`` says where each rule comes from. Unique keys besides the merge key are handled in
:mod:`.unique_keys`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.contract.ddl import StagingLayout
from airflow_provider_sync.databases.schema import STAGING_PREFIX, Table
from airflow_provider_sync.exceptions import SyncError, TableError
from airflow_provider_sync.merge.direct_load import DirectLoad, DirectRows
from airflow_provider_sync.merge.foreign_key_order import parents_first
from airflow_provider_sync.merge.merge_result import MergeCounts, MergeResult
from airflow_provider_sync.merge.merge_tables import MergeTables, columns_left_alone
from airflow_provider_sync.merge.modes import merge_for
from airflow_provider_sync.merge.staged_table import StagedTable
from airflow_provider_sync.merge.staging import naming_temporary_tables
from airflow_provider_sync.merge.staging_names import staging_digest
from airflow_provider_sync.merge.table_write import TableWrite
from airflow_provider_sync.merge.trigger_watch import TriggerWatch
from airflow_provider_sync.merge.without_rollback import Remains

Working = Callable[[Table], AbstractContextManager[object]]


def merge_tables(
    database: Database,
    connection: Connection,
    staged: Sequence[StagedTable | DirectRows],
    *,
    working: Working = nullcontext,
    check: Callable[[Table, MergeCounts], None] | None = None,
    verify: Callable[[Table, Sequence[str]], None] | None = None,
    before_writes: Callable[[], None] | None = None,
    before_commit: Callable[[], None] | None = None,
    beside: Callable[[], Iterable[Table]] = tuple,
    dry_run: bool = False,
) -> list[MergeResult]:
    """Merge all of ``staged`` in one transaction, or nothing.

    :param connection: in autocommit mode, outside any transaction
    :param working: returns the context manager to enter while one target is being written
    :param check: called with each target and the counts of its changes, before any row is written; an error stops all merges
    :param verify: called inside the transaction after a merge verified its target, with the target and its generated columns that
        differ from the source; an error rolls back everything
    :param before_writes: called inside the transaction after all checks, before any row is written; an error stops all merges
    :param before_commit: called last; an error rolls back everything
    :param beside: returns further tables that were already found equal to their sources, and that no trigger may change
    :param dry_run: list and check the changes, but write nothing
    :return: results in the order of ``staged``
    :raises TableError: if the rows do not fit the table; all targets that can roll back are unchanged
    :raises TriggerError: if a trigger changes rows that must not change; likewise
    :raises TableBusyError: if another session changed the target during the merge; likewise
    """
    with ExitStack() as cleanup:
        merges: list[TableWrite] = []
        for number, entry in enumerate(staged):
            with working(entry.target):
                merges.append(cleanup.enter_context(_prepared(database, connection, entry, number)))
        ordered = parents_first(connection, merges, lambda merge: merge.target)
        targets = [merge.target for merge in merges]
        remains = Remains(targets)
        with (
            remains.reported(database, connection),
            suppress(_DryRunEnded),
            database.foreign_keys.switched_off(connection, targets),
            database.transaction(connection),
        ):
            for merge in ordered:
                with working(merge.target), _about(merge.target):
                    merge.list_changes()
                    if check:
                        check(merge.target, merge.counts)
            references_kept = _order_by_references(database, connection, ordered)
            if dry_run:
                # Generated columns are not listed as changes, so a table may differ although nothing would be written.
                _verify([merge for merge in ordered if merge.computes and not merge.writes], working, verify)
                raise _DryRunEnded
            if before_writes:
                before_writes()
            watch = TriggerWatch(database, connection, ordered, beside)
            watch.begin()
            remains.writing = any(merge.writes for merge in merges)
            with references_kept:
                each = partial(_each, working)
                each(ordered, lambda merge: merge.prepare())
                each(ordered, lambda merge: merge.release())
                each(reversed(ordered), lambda merge: merge.delete())
                each(ordered, lambda merge: merge.write())
                each(ordered, lambda merge: merge.write_last())
                each(reversed(ordered), lambda merge: merge.delete_last())
                each(ordered, lambda merge: merge.finish())
            # Triggers that fire at the commit must not change rows that were verified before.
            database.run_deferred(connection)
            watch.check()
            _verify(ordered, working, verify)
            each(ordered, lambda merge: merge.move_sequences())
            if before_commit:
                before_commit()
        return [merge.result() for merge in merges]


def _verify(writes: Iterable[TableWrite], working: Working, verify: Callable[[Table, Sequence[str]], None] | None) -> None:
    """Verify tables one after the other; see :func:`merge_tables`."""
    for write in writes:
        with working(write.target), _about(write.target):
            write.verify()
            if verify:
                verify(write.target, write.computed_otherwise)


def _order_by_references(
    database: Database, connection: Connection, ordered: Sequence[TableWrite]
) -> AbstractContextManager[None]:
    """Postpone columns that refer to tables that are written later.

    :return: context manager that protects references during the writes
    """
    with database.translate_errors():
        listed = [(write, changes) for write in ordered for changes in [write.listed] if changes is not None]
        changes = [changes for _, changes in listed]
        references_kept = database.foreign_keys.references_kept(connection, changes)
        for (write, _), last in zip(listed, database.foreign_keys.written_last(connection, changes), strict=True):
            write.postpone(last)
    return references_kept


def _each(working: Working, writes: Iterable[TableWrite], step: Callable[[TableWrite], None]) -> None:
    """Run one step for each table."""
    for write in writes:
        with working(write.target), _about(write.target):
            step(write)


@contextmanager
def _about(target: Table) -> Iterator[None]:
    """Set the table name of errors raised inside."""
    try:
        yield
    except SyncError as error:
        error.table = error.table or str(target)
        raise


class _DryRunEnded(Exception):
    """Rolls back the transaction of a dry run."""


@contextmanager
def _prepared(database: Database, connection: Connection, staged: StagedTable | DirectRows, number: int) -> Iterator[TableWrite]:
    """Create the work tables of one target before the transaction, and drop them after it."""
    with _about(staged.target):
        _check_columns(staged.target, staged.names)
    if isinstance(staged, DirectRows):
        yield DirectLoad(database, connection, staged)
        return
    _check_key(staged)
    prefix = f"{STAGING_PREFIX}{staging_digest(staged.target)}"
    with ExitStack() as cleanup:

        def drop_afterwards(table: Table) -> None:
            cleanup.push(lambda failure, *_: _drop(database, connection, table, failed=failure is not None))

        def work_table(purpose: str) -> Table:
            with naming_temporary_tables(database, staged.target):
                work = database.ddl.create_work_table(connection, staged.target, staged.key, name=f"{prefix}_{purpose}{number}")
            drop_afterwards(work)
            return work

        work, parked = work_table("work"), work_table("park")
        kept = _table_to_keep(database, connection, staged, name=f"{prefix}_kept{number}")
        if kept:
            drop_afterwards(kept)
        tables = MergeTables(database=database, connection=connection, staged=staged, work=work, parked=parked, kept=kept)
        yield merge_for(staged.mode)(tables)


def _table_to_keep(database: Database, connection: Connection, staged: StagedTable, *, name: str) -> Table | None:
    """Create the work table that keeps the values of columns that the merge does not write.

    :return: ``None`` if there are no such columns, or if the table cannot be created, since few merges need it
    """
    columns = columns_left_alone(staged)
    if not columns:
        return None
    key = [staged.target.column(column) for column in staged.key]
    layout = StagingLayout(target=staged.target, columns=(*key, *columns), primary_key=staged.key)
    try:
        with database.translate_errors():
            return database.ddl.create_staging(connection, layout, name=name, temporary=True)
    except TableError as error:
        if error.retryable:
            raise
        return None


def _drop(database: Database, connection: Connection, work: Table, *, failed: bool) -> None:
    """Drop a work table; if that fails, close the session, which drops the table but does not undo the commit."""
    if connection.invalidated:
        return
    try:
        database.ddl.drop(connection, work)
    except (SQLAlchemyError, SyncError) as error:
        # After a failure the connection may be broken, and the first error is the one to report.
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
