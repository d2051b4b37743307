"""Handle servers with ``binlog_format=STATEMENT``, on which InnoDB refuses writes under READ COMMITTED.

If the user may change the format, sessions log rows, as servers do by default, so that replicas get exactly the written rows.
Otherwise transactions are REPEATABLE READ, which InnoDB accepts, and which locks all rows of the target until the commit.
"""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.mysql.errors import DENIED, error_number

_UNKNOWN_VARIABLE = 1193


def logs_statements(connection: Connection) -> bool:
    """Whether the server logs the writes of this session as statements."""
    try:
        return bool(
            connection.exec_driver_sql(
                "SELECT @@GLOBAL.log_bin AND @@SESSION.sql_log_bin AND @@SESSION.binlog_format = 'STATEMENT'"
            ).scalar()
        )
    except SQLAlchemyError as error:
        if error_number(error) != _UNKNOWN_VARIABLE:
            raise
        return False


def log_rows(connection: Connection) -> None:
    """Make a session log rows; if its user may not, use an isolation level that can be logged as statements.

    Call it before the session creates a temporary table, after which MySQL does not allow the change.
    """
    try:
        connection.exec_driver_sql("SET SESSION binlog_format = 'ROW'")
    except SQLAlchemyError as error:
        if error_number(error) not in DENIED:
            raise
        connection.exec_driver_sql("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
