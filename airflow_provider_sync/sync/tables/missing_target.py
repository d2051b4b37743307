"""Describe the target of a sync; create a missing one if the options allow it, or else raise an error that says how to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.cancellation import clean_up_fully
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.lock_waits import LockWaits
from airflow_provider_sync.databases.locks import TableLock
from airflow_provider_sync.databases.near_tables import with_near_table
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import MissingTableError, SyncError
from airflow_provider_sync.protocol.v2.messages import Described
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.tables.negotiated_source import source_of
from airflow_provider_sync.sync.tables.new_target.description import NewTarget
from airflow_provider_sync.sync.tables.new_target.details import MadeTable
from airflow_provider_sync.sync.tables.target import Target, resolve_target
from airflow_provider_sync.sync.traffic import Measure


def find_target(
    client: SyncClient,
    database: Database,
    options: TargetTable,
    connection: Connection | None = None,
    *,
    check: bool = True,
    described: Table | None = None,
) -> Target | None:
    """Describe the target table; ``None`` if it is missing and a sync would create it.

    :param connection: see :func:`present_target`
    :param check: whether to ask the source if a missing table can be created
    :param described: the target database's description of the table, if known
    :raises MissingTableError: if the table is missing, and a sync would not create it
    """
    try:
        return _resolve(database, options, connection, described)
    except MissingTableError as error:
        if not (options.create_table and client.protocol_for() == 2):
            raise _explained(client, database, options, error) from error
    if check:
        with client.within(options.max_seconds):
            NewTarget(client, database, options).describe()
    return None


def present_target(client: SyncClient, database: Database, options: TargetTable, connection: Connection | None = None) -> Target:
    """Describe the target table.

    :param connection: an open connection, for callers that describe many tables; ``None`` to open one
    :raises MissingTableError: if the table is missing; the message has the CREATE TABLE to run
    """
    try:
        return _resolve(database, options, connection)
    except MissingTableError as error:
        raise _explained(client, database, options, error) from error


def _resolve(database: Database, options: TargetTable, connection: Connection | None, described: Table | None = None) -> Target:
    with database.translate_errors(), database.connect() if connection is None else nullcontext(connection) as opened:
        return resolve_target(database, opened, options, described)


def _explained(client: SyncClient, database: Database, options: TargetTable, missing: MissingTableError) -> MissingTableError:
    with database.translate_errors(), database.connect() as connection:
        near = with_near_table(database, connection, options.table_name, missing)
    with client.within(options.max_seconds):
        return source_of(client, database).missing_target(options, near)


@contextmanager
def made_target(
    client: SyncClient,
    database: Database,
    options: TargetTable,
    lock: TableLock,
    run_tables: Mapping[str, TargetTable],
    described: Described | None = None,
    *,
    clean_up_waits: LockWaits,
) -> Iterator[MadeTable]:
    """Create a missing target; if the block fails, drop it again unless it has rows by then or the lock is lost.

    If it cannot be dropped, the error of the block says that it stays.

    :param lock: the lock of this table; if it is lost, another sync may have filled the table
    :param run_tables: the options of all tables of the run, by name
    :param described: the source's description of the table, if known
    :param clean_up_waits: the clean-up's waits for locks in this run
    """
    made = NewTarget(client, database, options).create(run_tables, described)

    def drop() -> None:
        lock.check()
        with clean_up_waits.waiting(database) as waiting, waiting.connect() as connection:
            waiting.ddl.drop_if_empty(connection, made.table)

    try:
        yield made
    except BaseException as error:
        try:
            clean_up_fully(drop)
        except SyncError:
            if isinstance(error, SyncError):
                stays = f"Table {str(made.table)!r} was made, and stays for the next sync to fill."
                raise error.having_changed([str(made.table)], stays) from error
        raise


def unfinished_target(
    client: SyncClient,
    database: Database,
    options: TargetTable,
    run_tables: Mapping[str, TargetTable],
    connection: Connection,
    table: Table,
) -> MadeTable | None:
    """Return the work left for a target that an earlier run created but did not finish; ``None`` for any other target.

    :param run_tables: the options of all tables of the run, by name
    """
    if not (options.create_table and options.create_indexes and client.protocol_for() == 2):
        return None
    with database.translate_errors(), client.within(options.max_seconds):
        return NewTarget(client, database, options).unfinished(run_tables, connection, table)


def report_missing(
    client: SyncClient,
    database: Database,
    options: TargetTable,
    run_tables: Mapping[str, TargetTable],
    *,
    earlier: Iterable[Mapping[str, Any]] = (),
) -> TableReport:
    """Report what a run would do for a missing target that it would create.

    :param run_tables: the options of all tables of the run, by name
    :param earlier: costs of earlier requests about the table; see :class:`.Measure`
    """
    measure, target = Measure(client, earlier=earlier), NewTarget(client, database, options)
    rows = target.count_rows()
    details = target.planned(run_tables)
    return TableReport(
        name=options.name,
        status="planned",
        protocol=2,
        rows_total=rows,
        rows_inserted=rows,
        schema_changes=details.schema_changes,
        warnings=details.warnings,
        **measure.so_far(),
    )
