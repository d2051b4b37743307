"""The operator that syncs tables in one task; it also exports the operators of the single steps."""

from __future__ import annotations

from airflow_provider_sync.operators.table_operator import TableOperator
from airflow_provider_sync.operators.table_steps import TableCompareOperator, TableDownloadOperator, TableMergeOperator

__all__ = ["TableCompareOperator", "TableDownloadOperator", "TableMergeOperator", "TableSyncOperator"]


class TableSyncOperator(TableOperator):
    """Make tables of a database equal to those that a sync server offers.

    The result is a list of reports, one for each table; the task also logs them as a table. An error that a retry cannot fix
    fails the task without retries. All arguments are template fields; text that a template renders as a list, mapping, number,
    ``true`` or ``false`` is converted.

    .. seealso:: The how-to guide "Sync tables and directories with Airflow".

    :param tables: a name, a list of names, or a mapping of names to options; names are those that the server offers. Patterns,
        such as ``*`` or ``shop.*``, are expanded when the task runs (version 2 of the protocol)
    :param target_conn_id: connection of the target database, for tables without their own ``connection``
    :param sync_conn_id: connection of the sync server
    :param single_transaction: commit all tables of a connection in one transaction
    :param consistent: read all tables from one snapshot of the source, so that they show the same moment (version 2 of the
        protocol); the operators of the single steps refuse it
    :param time_zone: time zone in which an existing server (version 1) sends ``TIMESTAMP`` values, which is that of the source
        database; by default, the connection's
    :param skip_unchanged: skip this task, and with it the downstream tasks, if every table is up to date
    :param dry_run: report what would change, and write nothing
    :param on_guard: when a guard (``max_deletes``, ``allow_empty_source``) stops the sync, ``fail`` the task, or ``ask`` a person
        for approval
    :param table: name of the target table if it differs from the source's; ``schema.table`` outside the default schema
    :param exclude: names, or patterns of names, to leave out of what the patterns in ``tables`` match
    :param drop_missing: names or patterns of target tables that mirror the source: those that the source no longer offers are
        dropped at the end of a run without failures; the operators of the single steps refuse it
    :param max_drops: maximum number of tables that one run drops for each pattern
    :param primary: column or columns that identify a row; by default, the target's primary key
    :param columns: columns to sync, by their source names; all by default
    :param renames: mapping of source column to target column
    :param max_deletes: maximum number of rows that one sync may delete, or a share such as ``50%``
    :param allow_empty_source: whether an empty source may empty the target
    :param allow_row_security: sync only the rows that PostgreSQL's row-level security shows to the role, instead of failing
    :param allow_non_transactional: whether the target may be a table without transactions, such as a MyISAM table
    :param create_table: create a missing target table (version 2 of the protocol)
    :param create_indexes: create the source's indexes, foreign keys, defaults and comments with a new target table
    :param on_schema_change: ``fail``, ``add``, ``ignore`` or ``widen``: what to do about source columns that the target lacks or
        in which its type is too narrow
    :param gone_columns: ``keep`` or ``set_null``: what to do about the values of columns that only the target has
    :param window: column, first value and end value (exclusive) of the rows to sync (version 2 of the protocol)
    :param mode: what happens to rows that differ, and to those that the source lacks: ``mirror``, ``upsert``, ``append``,
        ``soft_delete`` or ``history``
    :param deleted_at: for ``soft_delete``: target column for the time at which the source was found to lack the row
    :param valid_from: for ``history``: target column for the time at which a version of a row began
    :param valid_to: for ``history``: target column for the time at which a version of a row ended
    :param is_current: for ``history``: boolean target column that marks the current version of a row
    :param import_indexes: columns of the staging table to index for the join, besides the key
    :param staging: ``permanent``, ``temporary``, or the import path of a class
    :param hasher: import path of a class that hashes the target table
    :param verify: whether to compare staged rows with the target before the commit
    :param max_seconds: time limit, in seconds, for comparing and downloading one table; by default, the connection's
    """
