"""Servers that log statements instead of rows (``binlog_format=STATEMENT``), where InnoDB takes no write under READ COMMITTED.

Where the user may, sessions log rows, as servers do by default: the replicas then get exactly the rows that were written. Where
not, transactions are REPEATABLE READ, which InnoDB accepts, and which locks all rows of the target until the commit.
"""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.mysql.errors import DENIED, error_number

_UNKNOWN_VARIABLE = 1193


def logs_statements(connection: Connection) -> bool:
    """Whether what this session writes is logged by statements."""
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
    """Have a session log rows; where its user may not, have it write in a way that can be logged by statements.

    To be called before it makes a temporary table, after which MySQL does not let it change.
    """
    try:
        connection.exec_driver_sql("SET SESSION binlog_format = 'ROW'")
    except SQLAlchemyError as error:
        if error_number(error) not in DENIED:
            raise
        connection.exec_driver_sql("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
