"""A statement that takes too long can be ended from another thread."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, nullcontext
from threading import Event

import pytest
from sqlalchemy import Connection, Engine

from airflow_provider_sync import escalation
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.postgresql import cancel as postgresql_cancel
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.escalation import Canceller
from airflow_provider_sync.exceptions import SyncError, TransportError
from tests.own_servers import OwnServers
from tests.silent_proxy import between
from tests.stuck_target import until

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
    """A waiting or working statement ends with an error, and its connection can be used."""
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
    """Cancelling over a closed connection does nothing."""
    database = database_for(open_engine(database_url))
    with database.connect() as connection:
        cancel = database.canceller(connection)
    cancel()


HANG = {"mysqldb": "mariadb", "pymysql": "mariadb", "psycopg": "postgresql", "psycopg2": "postgresql"}
SLEEP = {"mariadb": "SELECT SLEEP(100)", "postgresql": "SELECT pg_sleep(100)"}
SLEEPS = {
    "mariadb": "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User sleep' AND db = DATABASE()",
    "postgresql": "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()",
}
CASES = [("mysqldb", False), ("pymysql", False), ("psycopg", False), ("psycopg", True), ("psycopg2", True)]
"""Drivers, and whether they block the process while they cancel, as psycopg does with a libpq before 17."""


@pytest.fixture(scope="module")
def own_servers() -> Iterator[OwnServers]:
    """Give servers that may hang."""
    with OwnServers() as servers:
        yield servers


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}{'-blocking' if case[1] else ''}")
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the name of a driver."""
    name, blocks = request.param
    if blocks:
        monkeypatch.setattr(postgresql_cancel, "cancels_without_blocking", lambda _: False)
    return str(name)


@contextmanager
def sleeping(url: str, engine: str) -> Iterator[tuple[Connection, Canceller, Future[None]]]:
    """Have a statement that takes long run in another thread."""
    database = database_for(open_engine(url))
    with ThreadPoolExecutor(1) as thread, database.connect() as connection:
        canceller = database.canceller(connection)

        def run() -> None:
            with database.translate_errors():
                connection.exec_driver_sql(SLEEP[engine]).all()

        running = thread.submit(run)
        with open_engine(url).connect() as other:
            until(lambda: other.exec_driver_sql(SLEEPS[engine]).scalar())
        yield connection, canceller, running


def cancelled(canceller: Canceller, running: Future[None]) -> bool:
    """Cancel until the statement has ended; return whether its connection was shut down for that."""
    shut_down = False
    while wait([running], timeout=0.05).not_done:
        canceller()
        shut_down = canceller.shut_down_if_due() or shut_down
    return shut_down


def test_each_driver_cancels(own_servers: OwnServers, driver: str) -> None:
    """With each driver, a database that answers ends the statement, and its connection stays usable."""
    engine = HANG[driver]
    with own_servers.database(engine, driver) as url, sleeping(url, engine) as (connection, canceller, running):
        assert not cancelled(canceller, running)
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1


@pytest.mark.parametrize("how", ["stopped", "proxy"])
def test_a_database_that_hangs(own_servers: OwnServers, driver: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the database does not answer, the statement's connection is closed, and other threads continue."""
    monkeypatch.setattr(escalation, "PATIENCE_SECONDS", 0.5)
    engine, silent = HANG[driver], Event()
    with (
        own_servers.database(engine, driver) as direct,
        between(direct, lambda _: not silent.is_set()) as url,
        sleeping(url, engine) as (_, canceller, running),
        own_servers.server(engine).hanging() if how == "stopped" else nullcontext(),
    ):
        silent.set()
        assert cancelled(canceller, running)
        assert isinstance(running.exception(), TransportError)
        assert canceller.name.startswith({"mariadb": "MariaDB at 127.0.0.1:", "postgresql": "PostgreSQL at 127.0.0.1:"}[engine])
        assert not canceller.shut_down_if_due()
