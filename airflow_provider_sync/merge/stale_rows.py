"""Delete rows of a staging table that a failed attempt left and that are no longer needed."""

from __future__ import annotations

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.listed_changes import ListedRows
from airflow_provider_sync.databases.schema import STAGING_PREFIX
from airflow_provider_sync.databases.table_slice import CanonicalColumn, Keys, TableSlice
from airflow_provider_sync.merge.staging import naming_temporary_tables
from airflow_provider_sync.merge.staging_names import staging_digest
from airflow_provider_sync.protocol.v2.tsv import encode_keys
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

_TEXT = LogicalType(kind=LogicalKind.TEXT)


def delete_rows(database: Database, connection: Connection, table_slice: TableSlice, keys: Keys) -> None:
    """Delete the rows with these keys, compared by bytes; keys without a row are ignored.

    :param table_slice: slice of a staging table
    """
    if not keys:
        return
    name = f"{STAGING_PREFIX}{staging_digest(table_slice.table)}_stale"
    with naming_temporary_tables(database, table_slice.table):
        work = database.ddl.create_work_table(connection, table_slice.table, table_slice.key_names, name=name)
    listed = [CanonicalColumn(column=work.columns[0], type=_TEXT), *table_slice.key]
    database.loader.load_text(connection, work, listed, [encode_keys([("D", *key) for key in keys])])
    rows = ListedRows(target=table_slice.table, work=work, key=table_slice.key_columns)
    with database.translate_errors():
        connection.exec_driver_sql(database.statements.delete_listed(rows))
    database.ddl.drop(connection, work)
