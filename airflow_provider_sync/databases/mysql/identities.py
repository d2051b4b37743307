"""Move MariaDB's sequences past the highest key. AUTO_INCREMENT does this automatically."""

from __future__ import annotations

import re

from sqlalchemy import Connection, text

from airflow_provider_sync.databases.contract.identities import IdentityColumns
from airflow_provider_sync.databases.mysql.server_facts import MySQLComponent
from airflow_provider_sync.databases.schema import Table

_DEFAULTS = text(
    "SELECT COLUMN_NAME, COLUMN_DEFAULT FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = COALESCE(:schema, DATABASE())"
    " AND TABLE_NAME = :name AND COLUMN_DEFAULT LIKE 'nextval(%'"
)
_SEQUENCE = re.compile(r"nextval\(((?:`(?:[^`]|``)+`\.)?`(?:[^`]|``)+`)\)")


class MySQLIdentityColumns(MySQLComponent, IdentityColumns):
    """Advances sequences in column defaults on MariaDB, which has no other identity columns; MySQL has no sequences."""

    def move_past_keys(self, connection: Connection, target: Table) -> None:
        """Set each sequence to the highest value of its column that is within its bounds; SETVAL never moves one back."""
        if not self.server.is_mariadb(connection):
            return
        with self.database.translate_errors():
            for column, default in connection.execute(_DEFAULTS, {"schema": target.schema, "name": target.name}).all():
                if found := _SEQUENCE.fullmatch(default):
                    self._move(connection, target, column, found[1].replace("%", "%%"))

    def _move(self, connection: Connection, target: Table, column: str, sequence: str) -> None:
        name = self.quote(column)
        lowest, highest, step = connection.exec_driver_sql(
            f"SELECT minimum_value, maximum_value, increment FROM {sequence}"
        ).one()
        furthest = connection.exec_driver_sql(
            f"SELECT {'MIN' if step < 0 else 'MAX'}({name}) FROM {self.qualified(target)}"
            f" WHERE {name} BETWEEN {lowest} AND {highest}"
        ).scalar()
        if furthest is not None:
            connection.exec_driver_sql(f"SELECT SETVAL({sequence}, {int(furthest)})").all()
