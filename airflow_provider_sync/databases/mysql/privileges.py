"""Find out whether a user of MySQL or MariaDB may write a table.

The server checks privileges also for statements that it only explains, whether they come from a grant on the table, the schema or
everything, or from a role.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.contract.privileges import Privileges
from airflow_provider_sync.databases.mysql.errors import NO_COLUMN_PRIVILEGE, NO_TABLE_PRIVILEGE, error_number, translated
from airflow_provider_sync.databases.schema import Table


class MySQLPrivileges(Privileges):
    """Has statements explained that need the privileges, and would write no row."""

    def missing_grants(self, target: Table, needed: Sequence[str]) -> list[str]:
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
            if not missing:
                return []
            schema, user = connection.exec_driver_sql("SELECT DATABASE(), CURRENT_USER()").one()
        place = name if target.schema else f"{self.quote(schema)}.{name}"
        account = "@".join(f"'{part}'" for part in user.rpartition("@")[::2])
        return [f"GRANT {', '.join(missing)} ON {self.database.undoubled(place)} TO {account}"]


def _may(connection: Connection, statement: str) -> bool:
    try:
        connection.exec_driver_sql(f"EXPLAIN {statement}").close()
    except SQLAlchemyError as error:
        if (number := error_number(error)) not in NO_COLUMN_PRIVILEGE:
            raise
        return number not in NO_TABLE_PRIVILEGE  # other columns may be granted
    return True
