"""New tables get their indexes after their rows, where that is faster; nothing else about them changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection

from airflow_provider_sync.databases.found_details import FoundDetails
from airflow_provider_sync.exceptions import TableError
from tests.scenario import Scenario

LATE = ("postgresql", "sqlite")
"""Engines that make indexes after rows."""


@pytest.fixture
def table(on: Scenario) -> Scenario:
    """Give a table with indexes whose names and columns need quotes."""
    name, column = on.database.quote("per%cent"), on.database.quote("a b%")
    on.execute(f"CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, {column} INTEGER, n INTEGER)".replace("%%", "%"))
    on.execute(f"CREATE UNIQUE INDEX {name} ON t ({column})".replace("%%", "%"), "CREATE INDEX plain ON t (n DESC, id)")
    return on


def found(on: Scenario, connection: Connection) -> FoundDetails:
    """Return the indexes of the table as the connection sees them."""
    return on.database.catalog.table_details(connection, on.describe("t"))


@contextmanager
def loading(on: Scenario, connection: Connection) -> Iterator[None]:
    """Load rows inside a transaction, without indexes where the engine can."""
    described = on.describe("t")
    with on.database.transaction(connection), on.database.ddl.without_indexes(connection, described):
        yield


def test_indexes_come_back(table: Scenario) -> None:
    """After the load, the table has the same description and all rows."""
    before = table.describe("t")
    with table.database.connect() as connection:
        indexes = found(table, connection).indexes
        with loading(table, connection):
            if table.dialect in LATE:
                assert found(table, connection).indexes == ()
            connection.exec_driver_sql("INSERT INTO t VALUES (2, 5, 1), (1, 6, 1)")
        assert found(table, connection).indexes == indexes
    assert table.describe("t") == before
    assert table.rows("t") == [(1, 6, 1), (2, 5, 1)]


@pytest.mark.parametrize("rows", ["(1, 5, 1), (1, 6, 1)", "(1, 5, 1), (2, 5, 1)"], ids=["primary key", "unique key"])
def test_rows_that_break_a_key(table: Scenario, rows: str) -> None:
    """They are an error as with indexes, and everything is rolled back."""
    before = table.describe("t")
    with table.database.connect() as connection:
        indexes = found(table, connection).indexes
        with pytest.raises(TableError) as refused, table.database.translate_errors(), loading(table, connection):
            connection.exec_driver_sql(f"INSERT INTO t VALUES {rows}")
        assert refused.value.__cause__ is not None
        assert table.database.is_duplicate(refused.value.__cause__)
        assert found(table, connection).indexes == indexes
    assert table.describe("t") == before
    assert table.rows("t") == []


def test_a_table_that_somebody_reads(postgresql_on: Scenario) -> None:
    """If another session reads the table, its indexes stay, and neither the reader nor the load waits."""
    postgresql_on.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)", "CREATE INDEX plain ON t (n)")
    database = postgresql_on.database
    with database.connect() as reader, database.connect() as connection, database.transaction(reader):
        reader.exec_driver_sql("SELECT * FROM t").all()
        with loading(postgresql_on, connection):
            assert [index.name for index in found(postgresql_on, connection).indexes] == ["plain"]
            connection.exec_driver_sql("INSERT INTO t VALUES (1, 1)")
    assert postgresql_on.rows("t") == [(1, 1)]


def test_a_table_to_which_another_refers(postgresql_on: Scenario) -> None:
    """Its indexes stay, because the foreign key needs them."""
    postgresql_on.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)",
        "CREATE INDEX plain ON t (n)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, up INTEGER REFERENCES t (id))",
    )
    before = postgresql_on.describe("t")
    with postgresql_on.database.connect() as connection, loading(postgresql_on, connection):
        assert [index.name for index in found(postgresql_on, connection).indexes] == ["plain"]
    assert postgresql_on.describe("t") == before
