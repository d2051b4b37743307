"""A client that is killed during a statement: PostgreSQL ends the statement and frees its locks."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext

import pytest

from airflow_provider_sync.databases.postgresql.database import PostgreSQLDatabase
from airflow_provider_sync.databases.postgresql.session import CLIENT_CHECK
from tests.databases.postgresql.databases import rows, run
from tests.pooler import pooler
from tests.stuck_target import until

CLIENT = """
import sys
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
database = database_for(open_engine(sys.argv[1]))
with database.connect() as connection, database.transaction(connection):
    connection.exec_driver_sql("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
    connection.exec_driver_sql("SELECT pg_sleep(600) AS while_locked")
"""
RUNNING = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%AS while_locked' AND pid <> pg_backend_pid()"


@pytest.fixture
def checks(database: PostgreSQLDatabase) -> None:
    """Skip the test if the server cannot notice that a client is gone."""
    ((name,),) = rows(database, f"SELECT current_setting('{CLIENT_CHECK}', true)")
    if name is None:
        pytest.skip("PostgreSQL 13 does not look")


@pytest.mark.usefixtures("checks")
@pytest.mark.parametrize("through", ["", "session", "transaction"], ids=["directly", "session pooler", "transaction pooler"])
def test_a_killed_client_frees_its_locks(database: PostgreSQLDatabase, through: str) -> None:
    """A lock that a client took before a long statement is free soon after it was killed, long before the statement's end."""
    run(database, "CREATE TABLE t (id integer PRIMARY KEY)")
    url = database.engine.url.render_as_string(hide_password=False)
    with pooler(url, through) if through else nullcontext(url) as address:
        with subprocess.Popen([sys.executable, "-c", CLIENT, address]) as client:
            until(lambda: rows(database, RUNNING) or client.poll() is not None)
            assert client.poll() is None
            client.kill()
        run(database, "SET lock_timeout = '30s'", "SELECT count(*) FROM t")


@pytest.mark.usefixtures("checks")
@pytest.mark.parametrize(("of_role", "of_session"), [("0", "2s"), ("1min", "2s"), ("500ms", "500ms")])
def test_a_stricter_interval_of_the_role_is_kept(database: PostgreSQLDatabase, of_role: str, of_session: str) -> None:
    """The server checks every two seconds, or more often if the role or the database says so."""
    name = database.engine.url.database
    run(database, f"ALTER DATABASE {name} SET {CLIENT_CHECK} = '{of_role}'")
    database.engine.dispose()
    try:
        assert rows(database, f"SHOW {CLIENT_CHECK}") == [(of_session,)]
    finally:
        run(database, f"ALTER DATABASE {name} RESET {CLIENT_CHECK}")
        database.engine.dispose()
