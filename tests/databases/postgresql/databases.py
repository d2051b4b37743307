"""What the tests of PostgreSQL share: one database for all tests of a module, emptied before each, through each driver.

A database of its own for every test would cost more than the tests themselves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from airflow_provider_sync.databases.postgresql.database import PostgreSQLDatabase
from tests.database_servers import POSTGRESQL, DatabaseServers, ServerMissing

DRIVERS = ("psycopg", "psycopg2")


@contextmanager
def open_database(url: str, driver: str = "psycopg") -> Iterator[PostgreSQLDatabase]:
    """Open the database at ``url`` through ``driver``."""
    engine = create_engine(make_url(url).set(drivername=f"postgresql+{driver}"))
    try:
        yield PostgreSQLDatabase(engine)
    finally:
        engine.dispose()


def run(database: PostgreSQLDatabase, *statements: str) -> None:
    """Run statements as they stand."""
    with database.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%"))


def rows(database: PostgreSQLDatabase, statement: str) -> list[tuple[object, ...]]:
    """Return the result of a query as it stands."""
    with database.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement.replace("%", "%%"))]


@contextmanager
def shared_database(servers: DatabaseServers, directory: Path) -> Iterator[str]:
    """Give the URL of a database, or skip the test where there is no server; with CI set, fail it."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(servers.database(POSTGRESQL, directory))
        except ServerMissing as missing:
            reason = f"no postgresql: {missing}"
        else:
            yield url
            return
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def empty(database: PostgreSQLDatabase) -> None:
    """Drop all that earlier tests have made and set in the database."""
    schemas = "SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)'"
    run(database, f"ALTER DATABASE {database.engine.url.database} RESET ALL")
    database.engine.dispose()
    for (schema,) in rows(database, schemas):
        run(database, f"DROP SCHEMA {schema} CASCADE")
    run(database, "CREATE SCHEMA public", "DISCARD ALL")
