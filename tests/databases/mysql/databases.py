"""What the tests of MySQL and MariaDB share: a fresh database on each server, through each driver, and how to look at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.mysql.database import MySQLDatabase

WAYS = ("mariadb-mysqldb", "mariadb-pymysql", "mysql-mysqldb", "mysql-pymysql")
"""Each server through each driver."""


@contextmanager
def open_database(url: str, driver: str = "mysqldb", *, local_infile: bool = True) -> Iterator[MySQLDatabase]:
    """Open the database at ``url`` through ``driver``."""
    engine = open_engine(f"{url.replace('mysqldb', driver)}?local_infile={int(local_infile)}")
    try:
        yield MySQLDatabase(engine)
    finally:
        engine.dispose()


def run(database: MySQLDatabase, *statements: str) -> None:
    """Run statements as they stand, each committed by itself."""
    with database.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%"))


def rows(database: MySQLDatabase, query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query."""
    with database.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]
