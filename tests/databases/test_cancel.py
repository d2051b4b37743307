"""A statement that takes too long can be ended from another thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack

import pytest
from sqlalchemy import Engine

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import SyncError

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"


def lock(engine: Engine, held: ExitStack) -> str:
    """Have somebody hold a table for as long as the stack is open, where that stops readers; return what then has no end."""
    statements = {
        "mysql": ("CREATE TABLE t (id INT)", "LOCK TABLES t WRITE"),
        "postgresql": ("CREATE TABLE t (id INT)", "BEGIN", "LOCK TABLE t"),
        "sqlite": (),
        "duckdb": (),
    }[engine.dialect.name]
    connection = held.enter_context(engine.connect()).execution_options(isolation_level="AUTOCOMMIT")
    for statement in statements:
        connection.exec_driver_sql(statement)
    return "SELECT * FROM t" if statements else ENDLESS


def test_a_statement_is_cancelled(database_url: str) -> None:
    """A statement that waits or works ends with an error, and its connection can be used for the next one."""
    database = database_for(open_engine(database_url))
    with ExitStack() as held, ThreadPoolExecutor(1) as thread, database.connect() as connection:
        statement = lock(database.engine, held)
        cancel = database.canceller(connection)
        # Nothing runs yet.
        cancel()

        def run() -> None:
            with pytest.raises(SyncError), database.translate_errors():
                connection.exec_driver_sql(statement).all()

        running = thread.submit(run)
        while wait([running], timeout=0.05).not_done:
            cancel()
        running.result()
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_after_its_end(database_url: str) -> None:
    """Cancelling over a connection that is closed does nothing."""
    database = database_for(open_engine(database_url))
    with database.connect() as connection:
        cancel = database.canceller(connection)
    cancel()
