"""Find out whether a user of MySQL or MariaDB may write a table, and make the tables that a merge needs beside it.

The server checks privileges also for statements that it only explains, or that have a mistake, whether they come from a grant on
the table, the schema or everything, or from a role.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.contract.privileges import Privileges
from airflow_provider_sync.databases.mysql.errors import DENIED, NO_COLUMN_PRIVILEGE, NO_TABLE_PRIVILEGE, error_number, translated
from airflow_provider_sync.databases.schema import Table

_MISTAKES = frozenset({1051, 1060})
"""Errors of a user who may make and drop tables: there is no such table, or two of its columns have one name."""


class MySQLPrivileges(Privileges):
    """Has statements explained that need the privileges, and would write no row."""

    def missing_grants(self, target: Table, needed: Sequence[str], *, stages: bool) -> list[str]:
        """See :meth:`.Privileges.missing_grants`."""
        name = self.qualified(target)
        column = self.quote(next(column.name for column in target.columns if not column.generated))
        # IGNORE, since other columns may have no default value.
        statements = {
            "SELECT": f"SELECT {column} FROM {name}",
            "INSERT": f"INSERT IGNORE INTO {name} ({column}) SELECT NULL FROM DUAL WHERE FALSE",
            "UPDATE": f"UPDATE IGNORE {name} SET {column} = NULL WHERE FALSE",
            "DELETE": f"DELETE FROM {name} WHERE FALSE",
        }
        with translated(), self.database.connect() as connection:
            missing = [privilege for privilege in needed if not _may(connection, statements[privilege])]
            beside = _missing_beside(connection, self.quote(target.schema) + "." if target.schema else "", stages=stages)
            if not missing and not beside:
                return []
            schema, user = connection.exec_driver_sql("SELECT DATABASE(), CURRENT_USER()").one()
        database = self.quote(target.schema or schema)
        granted = [(missing, f"{database}.{self.quote(target.name)}"), (beside, f"{database}.*")]
        account = "@".join(f"'{part}'" for part in user.rpartition("@")[::2])
        return [
            f"GRANT {', '.join(privileges)} ON {self.database.undoubled(place)} TO {account}"
            for privileges, place in granted
            if privileges
        ]


def _missing_beside(connection: Connection, prefix: str, *, stages: bool) -> list[str]:
    """Return the privileges on the database that the user lacks, by statements that could not make or drop a table.

    :param prefix: the quoted database and a point, or nothing
    """
    name = f"{prefix}_sync_{secrets.token_hex(8)}"
    statements = {"CREATE TEMPORARY TABLES": f"CREATE TEMPORARY TABLE {name} (a INT PRIMARY KEY, a INT)"}
    if stages:
        statements |= {"CREATE": f"CREATE TABLE {name} (a INT PRIMARY KEY, a INT)", "DROP": f"DROP TABLE {name}"}
    missing = []
    for privilege, statement in statements.items():
        try:
            connection.exec_driver_sql(statement)
        except SQLAlchemyError as error:
            if (number := error_number(error)) in DENIED:
                missing.append(privilege)
            elif number not in _MISTAKES:
                raise
    return missing


def _may(connection: Connection, statement: str) -> bool:
    try:
        connection.exec_driver_sql(f"EXPLAIN {statement}").close()
    except SQLAlchemyError as error:
        if (number := error_number(error)) not in NO_COLUMN_PRIVILEGE:
            raise
        return number not in NO_TABLE_PRIVILEGE  # other columns may be granted
    return True
