"""The operator that syncs tables in one task. The operators of the single steps can be imported from here, too."""

from __future__ import annotations

from airflow_provider_sync.operators.table_operator import TableOperator
from airflow_provider_sync.operators.table_steps import TableCompareOperator, TableDownloadOperator, TableMergeOperator

__all__ = ["TableCompareOperator", "TableDownloadOperator", "TableMergeOperator", "TableSyncOperator"]


class TableSyncOperator(TableOperator):
    """Make tables of a database equal to those that a sync server offers.

    The result is a list of reports, one for each table, which are also logged as a table. What no retry can fix fails
    the task at once. Everything here is a template field, and text that is a list or mapping, a number, ``true`` or
    ``false`` is read as such.

    .. seealso:: The how-to guide "Sync tables and directories with Airflow".

    :param tables: a name, a list of names, or a mapping of names to options; names are those that the server offers. Patterns,
        such as ``*`` or ``shop.*``, stand for every table that they match when the task runs (version 2 of the protocol)
    :param target_conn_id: connection of the target database, for tables without a ``connection`` of their own
    :param sync_conn_id: connection of the server
    :param single_transaction: commit all tables of a connection together, or none of them
    :param consistent: read all tables from one snapshot of the source, so that they show the same moment (version 2 of the
        protocol); the operators of the single steps refuse it
    :param time_zone: of the source's database, in which an existing server (version 1) sends TIMESTAMP; else the connection's
    :param skip_unchanged: skip the task, and so what follows it, when every table was up to date
    :param dry_run: report what would change, and write nothing
    :param on_guard: when a guard (``max_deletes``, ``allow_empty_source``) stops the sync, ``fail`` the task, or ``ask`` a person
        whether it may go on
    :param table: name of the target table where it is not the server's, ``schema.table`` outside the default schema
    :param exclude: names, or patterns of names, that the patterns of ``tables`` leave out
    :param drop_missing: names or patterns of tables of the target that belong to the source: those that it does not offer any
        more are dropped at the end of a run in which nothing failed; the operators of the single steps refuse it
    :param max_drops: most tables that one run drops for each pattern
    :param primary: column or columns that identify a row, where that is not the target's primary key
    :param columns: columns to sync, as the source calls them; without it, all
    :param renames: column of the source to column of the target
    :param max_deletes: rows that one sync may delete: a number, or a share such as ``50%``
    :param allow_empty_source: whether an empty source may empty the target
    :param allow_row_security: sync only the rows that PostgreSQL's row-level security shows to the role, instead of failing
    :param allow_non_transactional: whether the target may be a table that cannot be rolled back, such as one of MyISAM
    :param create_table: make a missing target (version 2 of the protocol)
    :param create_indexes: give a target that is made the source's indexes, foreign keys, defaults and comments, too
    :param on_schema_change: ``fail``, ``add``, ``ignore`` or ``widen``: what to do about columns of the source that the target
        lacks, or that are too narrow there
    :param gone_columns: ``keep`` or ``set_null``: what to do about the values of columns that only the target has
    :param window: column, first value, value after the last (version 2 of the protocol)
    :param mode: what happens to rows that differ, and to those that the source lacks: ``mirror``, ``upsert``, ``append``,
        ``soft_delete`` or ``history``
    :param deleted_at: for ``soft_delete``: column of the target for the time at which a row was missed
    :param valid_from: for ``history``: column of the target for the time at which a version began
    :param valid_to: for ``history``: column of the target for the time at which a version ended
    :param is_current: for ``history``: column of the target that tells whether a version did not end yet
    :param import_indexes: columns of the staging table to index for the join, beside the key
    :param staging: ``permanent``, ``temporary``, or the import path of a class
    :param hasher: import path of a class that hashes the target table
    :param verify: compare staged rows and target before the commit
    :param max_seconds: seconds that comparing and downloading one table may take; without it, what the connection says
    """
