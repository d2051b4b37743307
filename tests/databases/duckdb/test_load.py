"""Lines on their way into DuckDB."""

from __future__ import annotations

import pytest

from airflow_provider_sync.databases.duckdb.piped_lines import LinesStatement
from airflow_provider_sync.databases.duckdb.text_load import insert_lines, load_blocks
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.databases.table_slice import CanonicalColumn
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from tests.scenario import Scenario

LONG = 9 * 1024 * 1024
"""Characters; more than DuckDB's own limit for a line."""


def loading(on: Scenario) -> tuple[Table, LinesStatement]:
    """Make a table, and return what loads lines into it."""
    on.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR)")
    table = on.describe("t")
    columns = [
        CanonicalColumn(column=column, type=on.database.catalog.logical_type(column))  # type: ignore[arg-type]
        for column in table.columns
    ]
    return table, insert_lines(on.database, table, columns)


def test_lines_longer_than_most(duckdb_on: Scenario) -> None:
    """A long line gets its own statement, between the others, and nothing is lost."""
    table, insert = loading(duckdb_on)
    blocks = [b"1\ta\n2\tb\n", b"3\t" + b"x" * LONG + b"\n", b"4\td\n"]
    with duckdb_on.database.connect(loading=True) as connection:
        assert load_blocks(connection, table, insert, 2, blocks) == 4
    assert [(key, len(str(value))) for key, value in duckdb_on.rows("t")] == [(1, 1), (2, 1), (3, LONG), (4, 1)]


def test_little_memory_is_taken(duckdb_on: Scenario) -> None:
    """Loading ordinary lines needs little memory, although lines might be long."""
    table, insert = loading(duckdb_on)
    with duckdb_on.database.connect(loading=True) as connection:
        connection.exec_driver_sql("SET memory_limit = '100MB'")
        assert load_blocks(connection, table, insert, 2, (b"%d\tvalue\n" % number for number in range(1000))) == 1000


def loading_stored_times(on: Scenario) -> tuple[Table, LinesStatement]:
    """Make a table of times, and return what loads lines into it that SQLite sends as it stores them."""
    on.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, at TIMESTAMP, zoned TIMESTAMPTZ, seconds TIMESTAMP_S, clock TIME)")
    table = on.describe("t")
    kinds = (LogicalKind.TIMESTAMP, LogicalKind.TIMESTAMPTZ, LogicalKind.TIMESTAMP, LogicalKind.TIME)
    types = [LogicalType(kind=LogicalKind.INTEGER), *(LogicalType(kind=kind, scale=6, enforced=False) for kind in kinds)]
    columns = [CanonicalColumn(column=column, type=kind) for column, kind in zip(table.columns, types, strict=True)]
    return table, insert_lines(on.database, table, columns)


@pytest.mark.parametrize(
    ("moment", "clock"),
    [
        ("2026-01-02 10:00:00", "10:00:00"),
        ("2026-01-02T10:00:00Z", "10:00:00Z"),
        ("2026-01-02 10:00:00.", "10:00:00."),
        ("2026-01-02T10:00:00.0+00:00", "10:00:00.0"),
        ("2026-01-02 10:00:00.00000000", "10:00:00.00000000"),
    ],
)
def test_times_as_sqlite_stores_them(duckdb_on: Scenario, moment: str, clock: str) -> None:
    """All time formats of SQLite are the same value."""
    table, insert = loading_stored_times(duckdb_on)
    line = "\t".join(["1", moment, moment, moment, clock]).encode() + b"\n"
    with duckdb_on.database.connect(loading=True) as connection:
        assert load_blocks(connection, table, insert, 5, [line]) == 1
    whole = "2026-01-02 10:00:00"
    assert duckdb_on.rows("t") == [(1, f"{whole}.000000", f"{whole}.000000", whole, "10:00:00.000000")]


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (1, "2026-01-02"),
        (1, "2026-01-02 10:00"),
        (1, "2026-01-02 10:00:00.1234567"),
        (2, "2026-01-02 10:00:00+02:00"),
        (2, "2026-02-30 10:00:00"),
        (3, "2026-01-02 10:00:00.5"),
        (4, "24:30:00"),
    ],
)
def test_times_that_would_change(duckdb_on: Scenario, place: int, text: str) -> None:
    """A time that its column would change is an error that says what to do, and nothing is loaded."""
    table, insert = loading_stored_times(duckdb_on)
    fields = ["1", *["\\N"] * 4]
    fields[place] = text
    with (
        duckdb_on.database.connect(loading=True) as connection,
        pytest.raises(TableError, match=r"is not a value that this column keeps as it is\. Correct it at the source, or"),
    ):
        load_blocks(connection, table, insert, 5, ["\t".join(fields).encode() + b"\n"])
    assert duckdb_on.rows("t") == []


@pytest.mark.parametrize(
    ("column", "value", "stored"),
    [
        ("FLOAT", 0.1, "0.1"),
        ("FLOAT", "16777200", "16777200.0"),
        ("FLOAT", "-3.40282e38", "-3.40282e+38"),
        ("FLOAT", 0.10000000149011612, "0.1"),
        ("HUGEINT", str(2**127 - 1), str(2**127 - 1)),
        ("DECIMAL(38,10)", "-1234567890123456789012345678.1234567890", "-1234567890123456789012345678.1234567890"),
        ("DECIMAL(4,4)", "0.0512", ".0512"),
        ("INTEGER", "000042", "42"),
        ("INTEGER", "0000", "0"),
    ],
)
def test_numbers_of_version_1(duckdb_on: Scenario, column: str, value: float | str, stored: str) -> None:
    """Six digits mean the nearest single-precision number; other numbers arrive exactly, without leading zeros."""
    duckdb_on.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {column})")
    assert duckdb_on.sync("t", [(1, value)]).verified_rows
    assert duckdb_on.scalar("SELECT CAST(v AS VARCHAR) FROM t") == stored


@pytest.mark.parametrize(("column", "value"), [("FLOAT", "16777217"), ("FLOAT", "1e39"), ("DECIMAL(38,2)", "1" * 30 + ".125")])
def test_numbers_of_version_1_that_would_change(duckdb_on: Scenario, column: str, value: str) -> None:
    """A number that its column would change is an error that names the column, and nothing is loaded."""
    duckdb_on.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {column})")
    with pytest.raises(TableError, match=r"column 'v'"):
        duckdb_on.sync("t", [(1, value)])
    assert duckdb_on.rows("t") == []
