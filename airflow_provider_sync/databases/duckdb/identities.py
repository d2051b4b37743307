"""Move DuckDB's sequences past the highest key."""

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
_SEQUENCE = """
SELECT increment_by > 0, min_value, max_value, last_value FROM duckdb_sequences()
WHERE database_name = current_database() AND schema_name = ? AND sequence_name = ?
"""
_DEFAULT = re.compile(r"nextval\('((?:[^']|'')+)'\)")
_NAME = re.compile(r'"(?:[^"]|"")+"|[^".]+')


class DuckDBIdentityColumns(IdentityColumns):
    """Advances sequences in column defaults; DuckDB has no identity columns."""

    def move_past_keys(self, connection: Connection, target: Table) -> None:
        """Set each sequence to the highest value of its column that is within its bounds, unless it is already past that."""
        place = place_of(connection, str(target))
        for column, default in connection.exec_driver_sql(_DEFAULTS, place).all():
            if found := _DEFAULT.fullmatch(default):
                self._move(connection, target, column, found[1].replace("''", "'"), place[0])

    def _move(self, connection: Connection, target: Table, column: str, sequence: str, schema: str) -> None:
        """Move one sequence.

        :param sequence: name of the sequence in SQL
        :param schema: schema of the sequence, unless its name includes one
        """
        *above, name = map(_unquoted, _NAME.findall(sequence))
        found = connection.exec_driver_sql(_SEQUENCE, (above[-1] if above else schema, name)).one_or_none()
        if found is None:
            return
        ascending, lowest, highest, last = found
        value = self.quote(column)
        furthest = connection.exec_driver_sql(
            f"SELECT {'max' if ascending else 'min'}({value}) FROM {self.qualified(target)} WHERE {value} BETWEEN ? AND ?",
            (lowest, highest),
        ).scalar()
        if furthest is not None and (last is None or (furthest > last if ascending else furthest < last)):
            connection.exec_driver_sql("SELECT setval(?, ?)", (sequence, furthest))


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
