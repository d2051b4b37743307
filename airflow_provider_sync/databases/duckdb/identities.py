"""Columns that a sequence of DuckDB numbers: it is moved past the highest key."""

from __future__ import annotations

import re

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.identities import IdentityColumns
from airflow_provider_sync.databases.duckdb.catalog import place_of
from airflow_provider_sync.databases.schema import Table

_DEFAULTS = """
SELECT column_name, column_default FROM duckdb_columns()
WHERE database_name = current_database() AND schema_name = ? AND table_name = ? AND column_default LIKE 'nextval(%'
"""
_LAST = """
SELECT last_value FROM duckdb_sequences()
WHERE database_name = current_database() AND schema_name = ? AND sequence_name = ?
"""
_SEQUENCE = re.compile(r"nextval\('((?:[^']|'')+)'\)")


class DuckDBIdentityColumns(IdentityColumns):
    """DuckDB has no identity columns, only defaults that ask a sequence."""

    def move_past_keys(self, connection: Connection, target: Table) -> None:
        """Set each sequence to the highest value of its column, unless it is past it."""
        place = place_of(connection, str(target))
        for column, default in connection.exec_driver_sql(_DEFAULTS, place).all():
            found = _SEQUENCE.fullmatch(default)
            if found is None:
                continue
            sequence = found[1].replace("''", "'")
            schema, _, name = sequence.rpartition(".")
            last = connection.exec_driver_sql(_LAST, (schema.strip('"') or place[0], name.strip('"'))).scalar()
            highest = connection.exec_driver_sql(f"SELECT max({self.quote(column)}) FROM {self.qualified(target)}").scalar()
            if highest is not None and highest > (last or 0):
                connection.exec_driver_sql("SELECT setval(?, ?)", (sequence, highest))
