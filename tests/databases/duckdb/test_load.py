"""Lines on their way into DuckDB."""

from __future__ import annotations

from airflow_provider_sync.databases.duckdb.text_load import Insert, insert_lines, load_blocks
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.databases.table_slice import CanonicalColumn
from tests.scenario import Scenario

LONG = 9 * 1024 * 1024
"""Characters; more than DuckDB's own limit for a line."""


def loading(on: Scenario) -> tuple[Table, Insert]:
    """Make a table, and return what loads lines into it."""
    on.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR)")
    table = on.describe("t")
    columns = [
        CanonicalColumn(column=column, type=on.database.catalog.logical_type(column))  # type: ignore[arg-type]
        for column in table.columns
    ]
    return table, insert_lines(on.database, table, columns)


def test_lines_longer_than_most(duckdb_on: Scenario) -> None:
    """A long line gets a statement of its own, between those of the others, and nothing is lost."""
    table, insert = loading(duckdb_on)
    blocks = [b"1\ta\n2\tb\n", b"3\t" + b"x" * LONG + b"\n", b"4\td\n"]
    with duckdb_on.database.connect(loading=True) as connection:
        assert load_blocks(connection, table, insert, 2, blocks) == 4
    assert [(key, len(str(value))) for key, value in duckdb_on.rows("t")] == [(1, 1), (2, 1), (3, LONG), (4, 1)]


def test_little_memory_is_taken(duckdb_on: Scenario) -> None:
    """Loading ordinary lines needs no more memory than a small machine has, although lines might be long."""
    table, insert = loading(duckdb_on)
    with duckdb_on.database.connect(loading=True) as connection:
        connection.exec_driver_sql("SET memory_limit = '100MB'")
        assert load_blocks(connection, table, insert, 2, (b"%d\tvalue\n" % number for number in range(1000))) == 1000
