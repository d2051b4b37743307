"""A target's administrator who ends a session of the sync just before it says a certain thing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from airflow_provider_sync.databases.base import Database


@contextmanager
def killing(
    database: Database, beginning: str, *, containing: str = "", spared: int = 0, lock: bool = False
) -> Iterator[list[str]]:
    """End the session that is about to run a statement, once.

    :param beginning: how the statement begins
    :param containing: what it has somewhere
    :param spared: how many such statements go through first
    :param lock: end the session that holds the sync's locks instead
    :return: the statement whose session was ended, once it was
    """
    killed: list[str] = []
    seen = 0
    administrator = create_engine(database.engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")

    def before(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal seen
        if killed or not statement.startswith(beginning) or containing not in statement:
            return
        seen += 1
        if seen > spared:
            killed.append(statement)
            (_end_lock if lock else _end)(administrator, connection)

    event.listen(database.engine, "before_cursor_execute", before)
    try:
        yield killed
    finally:
        event.remove(database.engine, "before_cursor_execute", before)
        administrator.dispose()


def _end(administrator: Any, connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    with administrator.connect() as other:
        if connection.dialect.name == "postgresql":
            assert other.exec_driver_sql("SELECT pg_terminate_backend(%s, 60000)", (driver.info.backend_pid,)).scalar()
        else:
            other.exec_driver_sql(f"KILL {driver.thread_id()}")


def _end_lock(administrator: Any, connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    with administrator.connect() as other:
        if connection.dialect.name == "postgresql":
            held = (
                "SELECT pg_terminate_backend(l.pid, 60000) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
                " WHERE l.locktype = 'advisory' AND d.datname = current_database()"
            )
            assert other.exec_driver_sql(held).scalar()
        else:
            sessions = other.exec_driver_sql(
                "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND COMMAND = 'Sleep'"
            )
            for (session,) in sessions.all():
                if session != driver.thread_id():
                    other.exec_driver_sql(f"KILL {session}")


def end_all(database: Database) -> None:
    """End every session of a database."""
    administrator = create_engine(database.engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with administrator.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).all()
        else:
            sessions = connection.exec_driver_sql(
                "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID()"
            )
            for (session,) in sessions.all():
                with suppress(SQLAlchemyError):  # one that has ended meanwhile
                    connection.exec_driver_sql(f"KILL {session}")
    administrator.dispose()
