"""A table that somebody holds, and those who wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from airflow_provider_sync.databases.connect import open_engine


@contextmanager
def locked(url: str, table: str = "t") -> Iterator[None]:
    """Hold a table, so that whoever reads it waits."""
    engine: Engine = open_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        mysql = engine.dialect.name == "mysql"
        for statement in [f"LOCK TABLES {table} WRITE"] if mysql else ["BEGIN", f"LOCK TABLE {table}"]:
            connection.exec_driver_sql(statement)
        yield
        connection.exec_driver_sql("UNLOCK TABLES" if mysql else "ROLLBACK")
    engine.dispose()


def waiting(url: str) -> int:
    """Count the sessions that wait for a table."""
    engine = open_engine(url)
    statement = {
        "mysql": "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%%'",
        "postgresql": "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
    }[engine.dialect.name]
    with engine.connect() as connection:
        count = connection.exec_driver_sql(statement).scalar_one()
    engine.dispose()
    return int(count)
