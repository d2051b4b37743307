"""What only SQLite has: columns that declare types and hold anything, and moments that are text."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_sync.databases.sqlite.affinities import Affinity
from airflow_provider_sync.databases.sqlite.text import decimal_text, expression, register_functions
from airflow_provider_sync.exceptions import ProtocolError, TableError
from airflow_provider_sync.protocol.v2.messages import Partitioning
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from tests.databases.canonical_rows import (
    all_digests,
    expected_digests,
    expected_segments,
    insert,
    load,
    read,
    slice_of,
)
from tests.scenario import Scenario

ODD: dict[str, tuple[str, list[Any], list[bytes]]] = {
    "integer": ("INTEGER", ["abc", 1.5, b"\xff", 1e300], [b"abc", b"1.5", b"\xff", b"1e300"]),
    "decimal": ("DECIMAL(9,2)", [1.255, "x", 12, 1e17], [b"1.255", b"x", b"12.00", b"100000000000000000.00"]),
    "unsized decimal": ("NUMERIC", [1.5, 2, 1e20], [b"1.5", b"2", b"100000000000000000000"]),
    "float": ("DOUBLE", [float("inf"), float("-inf"), "x"], [b"Infinity", b"-Infinity", b"x"]),
    "date": ("DATE", [20240229, "yesterday", 1.5], [b"20240229", b"yesterday", b"1.5"]),
    "bytes": ("BLOB", ["é", 7, b"\x07"], [b"c3a9", b"37", b"07"]),
    "untyped": ("", ["5", 5, 5.0, b"5", "a\x00b"], [b"t5", b"i5", b"r5", b"b35", b"ta\x00b"]),
}


def create(on: Scenario, sql_type: str) -> None:
    """Make a table with one column."""
    on.execute(f"CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, v {sql_type})")


@pytest.mark.parametrize("kind", ODD)
def test_values_of_another_type(sqlite_on: Scenario, kind: str) -> None:
    """A value of another type than declared is written and digested unchanged."""
    sql_type, values, texts = ODD[kind]
    create(sqlite_on, sql_type)
    table = sqlite_on.describe("item")
    insert(sqlite_on.database, table, enumerate(values))
    table_slice = slice_of(sqlite_on.database, table)

    with sqlite_on.database.snapshot() as connection:
        rows = read(sqlite_on.database, connection, table_slice)
        digests = all_digests(sqlite_on.database, connection, table_slice)

    assert [value for _, value in rows] == texts
    assert digests == expected_digests(table_slice, rows)


def test_untyped_columns_keep_the_type_of_each_value(sqlite_on: Scenario) -> None:
    """Between SQLite databases, values of a column without a type keep their types."""
    create(sqlite_on, "")
    values = ["5", 5, 5.0, b"5", None, "", "a\x00b", 2**63 - 1, 0.1]
    table = sqlite_on.describe("item")
    insert(sqlite_on.database, table, enumerate(values))
    table_slice = slice_of(sqlite_on.database, table)

    with sqlite_on.database.connect() as connection:
        texts = read(sqlite_on.database, connection, table_slice)
        staging, _ = load(
            sqlite_on.database,
            connection,
            table,
            texts,
            [table_slice.columns[0].type, LogicalType(kind=LogicalKind.ANY)],
            "_sync_test",
        )
        batches = list(sqlite_on.database.reader.read(connection, staging, staging.columns))

    landed = [value for batch in batches for _, value in batch]
    assert landed == values
    assert list(map(type, landed)) == list(map(type, values))


def test_untyped_text_that_is_not_utf8(sqlite_on: Scenario) -> None:
    """Such a text is an error with the column and the reason, and nothing is loaded."""
    create(sqlite_on, "")
    table = sqlite_on.describe("item")
    types = [slice_of(sqlite_on.database, table).columns[0].type, LogicalType(kind=LogicalKind.ANY)]
    with (
        sqlite_on.database.connect() as connection,
        pytest.raises(TableError, match=r"column 'v' \(no type\): a text is not UTF-8\. Correct it at the source"),
    ):
        load(sqlite_on.database, connection, table, [(b"1", b"t\xff")], types, "_sync_test")


@pytest.mark.parametrize(
    "written",
    [
        "2024-02-29 12:34:56.5",
        "2024-02-29T12:34:56.500",
        "2024-02-29 12:34:56.500000",
        "2024-02-29 12:34:56.50000000",
        "2024-02-29T12:34:56.5Z",
    ],
)
def test_moments_count_by_what_they_mean(sqlite_on: Scenario, written: str) -> None:
    """A moment has one digest in any notation, is sent as written, and the target keeps its text."""
    create(sqlite_on, "DATETIME")
    table = sqlite_on.describe("item")
    insert(sqlite_on.database, table, [(1, written)])
    table_slice = slice_of(sqlite_on.database, table)

    with sqlite_on.database.snapshot() as connection:
        rows = read(sqlite_on.database, connection, table_slice)
        digests = all_digests(sqlite_on.database, connection, table_slice)

    assert rows == [(b"1", written.encode())]
    assert digests == expected_digests(table_slice, [(b"1", b"2024-02-29 12:34:56.500000")])


def test_keys_that_are_moments(sqlite_on: Scenario) -> None:
    """Rows are found by moments as keys, which have one text for all notations."""
    sqlite_on.execute("CREATE TABLE item (k DATETIME NOT NULL PRIMARY KEY, v INTEGER)")
    table = sqlite_on.describe("item")
    insert(sqlite_on.database, table, [("2024-02-29T12:34:56", 1), ("2024-03-01 00:00:00.25", 2)])
    table_slice = slice_of(sqlite_on.database, table)
    wanted = [("2024-02-29 12:34:56.000000",), ("2030-01-01 00:00:00.000000",)]

    with sqlite_on.database.snapshot() as connection:
        rows = read(sqlite_on.database, connection, table_slice, wanted)
        found = [key for batch in sqlite_on.database.digests.digest_keys(connection, table_slice, wanted) for key, _ in batch]

    assert rows == [(b"2024-02-29 12:34:56.000000", b"1")]
    assert found == wanted[:1]


def test_integer_keys_in_text(sqlite_on: Scenario) -> None:
    """Integers above SQLite's range, in a text column, are put into segments and ordered as integers."""
    sqlite_on.execute("CREATE TABLE item (id TEXT NOT NULL PRIMARY KEY, v INTEGER)")
    table = sqlite_on.describe("item")
    keys = [-5, 9, 10, 2**63, 2**64 - 1]
    insert(sqlite_on.database, table, [(str(key), 1) for key in keys])
    table_slice = slice_of(sqlite_on.database, table, types={"id": LogicalType(kind=LogicalKind.INTEGER, unsigned=True)})
    partitioning = Partitioning(scheme="key_range", segment_count=8, low=0, high=2**64 - 2)

    with sqlite_on.database.snapshot() as connection:
        digests = expected_digests(table_slice, read(sqlite_on.database, connection, table_slice))
        segments = sqlite_on.database.digests.digest_segments(connection, table_slice, partitioning)
        found = all_digests(sqlite_on.database, connection, table_slice, partitioning, [(-1, 8)])

    assert dict(segments) == expected_segments(partitioning, digests)
    assert [int(key) for (key,) in found] == keys


def test_keys_that_are_no_integers(sqlite_on: Scenario) -> None:
    """A declared integer key with text is refused, with what to do."""
    sqlite_on.execute("CREATE TABLE item (id INT NOT NULL PRIMARY KEY, v INTEGER)")
    table = sqlite_on.describe("item")
    insert(sqlite_on.database, table, [(1, 1), ("x", 2)])

    with sqlite_on.database.snapshot() as connection, pytest.raises(TableError, match=r"'id'.*no integers"):
        sqlite_on.database.digests.key_bounds(connection, slice_of(sqlite_on.database, table))


@pytest.mark.parametrize(
    ("sql_type", "logical", "text"),
    [
        ("INTEGER", LogicalType(kind=LogicalKind.INTEGER, unsigned=True), b"18446744073709551615"),
        ("INTEGER", LogicalType(kind=LogicalKind.TEXT), b"007"),
        ("DECIMAL(20,4)", LogicalType(kind=LogicalKind.DECIMAL, scale=4), b"1234567890123456.7890"),
        ("JSON", LogicalType(kind=LogicalKind.JSON, json_dialect="mysql"), b"1.0"),
        ("DOUBLE", LogicalType(kind=LogicalKind.INTEGER), b"9007199254740993"),
        ("DOUBLE", LogicalType(kind=LogicalKind.FLOAT64), b"NaN"),
    ],
)
def test_what_affinities_would_change(sqlite_on: Scenario, sql_type: str, logical: LogicalType, text: bytes) -> None:
    """A text that SQLite would change is refused with the column's name, and nothing is loaded."""
    create(sqlite_on, sql_type)
    table = sqlite_on.describe("item")

    with sqlite_on.database.connect() as connection:
        with pytest.raises(TableError, match=r"'v'.*TEXT"):
            load(
                sqlite_on.database,
                connection,
                table,
                [(b"1", text)],
                [LogicalType(kind=LogicalKind.INTEGER), logical],
                "_sync_test",
            )
        assert sqlite_on.database.reader.count(connection, sqlite_on.database.catalog.describe(connection, "_sync_test")) == 0


@pytest.mark.parametrize(
    ("sql_type", "logical", "texts", "landed"),
    [
        ("INTEGER", LogicalType(kind=LogicalKind.INTEGER), [b"7", None, b"-1"], [7, None, -1]),
        ("INTEGER", LogicalType(kind=LogicalKind.INTEGER), [b"7", b"seven"], [7, "seven"]),
        ("DECIMAL(9,2)", LogicalType(kind=LogicalKind.DECIMAL, scale=2), [b"1.10", None, b"-0.05"], [1.1, None, -0.05]),
        ("DECIMAL(9,2)", LogicalType(kind=LogicalKind.DECIMAL, scale=2), [b"1.00", b"1.00\n2.00"], [1, "1.00\n2.00"]),
        ("DECIMAL(9,2)", LogicalType(kind=LogicalKind.DECIMAL, scale=2), [b"x", "٣.00".encode()], ["x", "٣.00"]),
        ("DECIMAL(9,0)", LogicalType(kind=LogicalKind.DECIMAL, scale=0), [b"12", b"0"], [12, 0]),
        (
            "DATETIME",
            LogicalType(kind=LogicalKind.TIMESTAMP, scale=6),
            [b"2024-02-29 12:34:56", None],
            ["2024-02-29 12:34:56", None],
        ),
        ("DATETIME", LogicalType(kind=LogicalKind.TIMESTAMP, scale=6), [b"12:34:56", b"5", b"x"], ["12:34:56", 5, "x"]),
        ("TEXT", LogicalType(kind=LogicalKind.TEXT), [b"\\N", None, b"", b"a\\b\tc\r\n"], ["\\N", None, "", "a\\b\tc\r\n"]),
        ("TEXT", LogicalType(kind=LogicalKind.TEXT), [b"\xff", "é".encode(), None], [b"\xff", "é", None]),
    ],
)
def test_blocks_land_value_by_value(
    sqlite_on: Scenario, sql_type: str, logical: LogicalType, texts: list[bytes | None], landed: list[Any]
) -> None:
    """A value arrives unchanged next to any other values of its block."""
    create(sqlite_on, sql_type)
    table = sqlite_on.describe("item")
    rows = [(b"%d" % number, text) for number, text in enumerate(texts)]

    with sqlite_on.database.connect() as connection:
        staging, loaded = load(
            sqlite_on.database, connection, table, rows, [LogicalType(kind=LogicalKind.INTEGER), logical], "_sync_test"
        )
        found = [value for batch in sqlite_on.database.reader.read(connection, staging, staging.columns) for _, value in batch]

    assert loaded == len(texts)
    assert found == landed


@pytest.mark.parametrize("text", [b"-0.00", b"01.00", b"1.000", b"+1.00"])
def test_decimals_that_are_written_otherwise(sqlite_on: Scenario, text: bytes) -> None:
    """A number in another than the canonical form is refused, also among others, and nothing is loaded."""
    create(sqlite_on, "DECIMAL(9,2)")
    table = sqlite_on.describe("item")
    types = [LogicalType(kind=LogicalKind.INTEGER), LogicalType(kind=LogicalKind.DECIMAL, scale=2)]

    with sqlite_on.database.connect() as connection:
        with pytest.raises(TableError, match="'v'"):
            load(sqlite_on.database, connection, table, [(b"1", b"1.00"), (b"2", text)], types, "_sync_test")
        assert sqlite_on.database.reader.count(connection, sqlite_on.database.catalog.describe(connection, "_sync_test")) == 0


def test_lines_of_another_width(sqlite_on: Scenario) -> None:
    """A line with too many fields is refused, even if the next one has too few, and nothing is loaded."""
    create(sqlite_on, "TEXT")
    table = sqlite_on.describe("item")
    table_slice = slice_of(sqlite_on.database, table)

    with sqlite_on.database.connect() as connection:
        with pytest.raises(ProtocolError, match="fields"):
            sqlite_on.database.loader.load_text(connection, table, table_slice.columns, [b"1\ta\tb\n2\n"])
        assert sqlite_on.database.reader.count(connection, table) == 0


def test_lines_that_are_too_short(sqlite_on: Scenario) -> None:
    """Two lines with one field each are not one row of three columns."""
    sqlite_on.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, v TEXT, w TEXT)")
    table = sqlite_on.describe("item")
    table_slice = slice_of(sqlite_on.database, table)

    with sqlite_on.database.connect() as connection:
        with pytest.raises(ProtocolError, match="fields"):
            sqlite_on.database.loader.load_text(connection, table, table_slice.columns, [b"1\n2\n"])
        assert sqlite_on.database.reader.count(connection, table) == 0


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("2024-02-29 12:34:56.12345Z", "2024-02-29 12:34:56.123450"),
        ("2024-02-29 12:34:56.+00:00", "2024-02-29 12:34:56.000000"),
        ("2024-02-29 12:34:56.1+0000", "2024-02-29 12:34:56.100000"),
        ("2024-02-29T12:34:56.123456", "2024-02-29 12:34:56.123456"),
        ("yyyy-mm-dd hh:mm:ss.123456", "yyyy-mm-dd hh:mm:ss.123456"),
    ],
)
def test_moments_as_long_as_canonical_ones(sqlite_on: Scenario, written: str, text: str) -> None:
    """A text as long as a canonical moment is parsed, and digested unchanged if it is not one."""
    create(sqlite_on, "DATETIME")
    table = sqlite_on.describe("item")
    insert(sqlite_on.database, table, [(1, written)])
    table_slice = slice_of(sqlite_on.database, table)

    with sqlite_on.database.snapshot() as connection:
        digests = all_digests(sqlite_on.database, connection, table_slice)

    assert digests == expected_digests(table_slice, [(b"1", text.encode())])


@settings(max_examples=40)
@given(
    numbers=st.lists(
        st.floats(allow_nan=False, allow_infinity=False) | st.decimals(-(10**15), 10**15, places=3).map(float), max_size=50
    ),
    scale=st.none() | st.integers(0, 16),
)
def test_decimals_have_one_text(numbers: list[float], scale: int | None) -> None:
    """SQL writes each double as a decimal like Python, in both of its ways."""
    logical = LogicalType(kind=LogicalKind.DECIMAL, scale=scale)
    with closing(sqlite3.connect(":memory:")) as connection:
        register_functions(connection)
        connection.execute("CREATE TABLE item (v REAL)")
        connection.executemany("INSERT INTO item VALUES (?)", [(number,) for number in numbers])
        rendered = connection.execute(f"SELECT {expression('v', logical, Affinity.REAL)} FROM item ORDER BY rowid").fetchall()

    assert rendered == [(decimal_text(number, scale),) for number in numbers]


def test_two_threads_read_at_once(sqlite_on: Scenario) -> None:
    """Two threads that read at the same time get the same rows and digests as alone."""
    create(sqlite_on, "TEXT")
    table = sqlite_on.describe("item")
    insert(sqlite_on.database, table, [(number, f"value {number}") for number in range(5_000)])
    table_slice = slice_of(sqlite_on.database, table)

    def rows() -> list[tuple[bytes | None, ...]]:
        with sqlite_on.database.snapshot() as connection:
            return read(sqlite_on.database, connection, table_slice)

    def digests() -> dict[tuple[str, ...], int]:
        with sqlite_on.database.snapshot() as connection:
            return all_digests(sqlite_on.database, connection, table_slice)

    with ThreadPoolExecutor(2) as threads:
        reading, digesting = threads.submit(rows), threads.submit(digests)

    assert reading.result() == rows()
    assert digesting.result() == digests() == expected_digests(table_slice, rows())
