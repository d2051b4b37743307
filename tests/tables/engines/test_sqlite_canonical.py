"""What only SQLite has: columns that declare types and hold anything, and moments that are text."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.messages import Grid
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from airflow_provider_sync.tables.engines.sqlite_text import ANY
from tests.tables.canonical_rows import (
    all_digests,
    canonical,
    expected_digests,
    expected_segments,
    insert,
    load,
    part_of,
    read,
)
from tests.tables.scenario import Scenario

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
    """A value that is not what its column declares is rendered as it is, and digested."""
    sql_type, values, texts = ODD[kind]
    create(sqlite_on, sql_type)
    table = sqlite_on.describe("item")
    insert(sqlite_on.database, table, enumerate(values))
    part = part_of(sqlite_on.database, table)

    with sqlite_on.database.snapshot() as connection:
        rows = read(sqlite_on.database, connection, part)
        digests = all_digests(sqlite_on.database, connection, part)

    assert [value for _, value in rows] == texts
    assert digests == expected_digests(part, rows)


def test_untyped_columns_keep_the_type_of_each_value(sqlite_on: Scenario) -> None:
    """Between SQLite databases, the values of a column without a type arrive with the types that they have."""
    create(sqlite_on, "")
    values = ["5", 5, 5.0, b"5", None, "", "a\x00b", 2**63 - 1, 0.1]
    table = sqlite_on.describe("item")
    insert(sqlite_on.database, table, enumerate(values))
    part = part_of(sqlite_on.database, table)

    with sqlite_on.database.connect() as connection:
        texts = read(sqlite_on.database, connection, part)
        staging, _ = load(sqlite_on.database, connection, table, texts, [part.columns[0].type, ANY], "_sync_test")
        batches = list(sqlite_on.database.read(connection, staging, staging.columns))

    landed = [value for batch in batches for _, value in batch]
    assert landed == values
    assert list(map(type, landed)) == list(map(type, values))


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
    """A moment has one digest however it is written, travels as it is written, and is text that the target keeps."""
    create(sqlite_on, "DATETIME")
    table = sqlite_on.describe("item")
    insert(sqlite_on.database, table, [(1, written)])
    part = part_of(sqlite_on.database, table)

    with sqlite_on.database.snapshot() as connection:
        rows = read(sqlite_on.database, connection, part)
        digests = all_digests(sqlite_on.database, connection, part)

    assert rows == [(b"1", written.encode())]
    assert digests == expected_digests(part, [(b"1", b"2024-02-29 12:34:56.500000")])


def test_keys_that_are_moments(sqlite_on: Scenario) -> None:
    """Rows are found by moments as keys, whose text is one for all ways to write them."""
    sqlite_on.execute("CREATE TABLE item (k DATETIME NOT NULL PRIMARY KEY, v INTEGER)")
    table = sqlite_on.describe("item")
    insert(sqlite_on.database, table, [("2024-02-29T12:34:56", 1), ("2024-03-01 00:00:00.25", 2)])
    part = part_of(sqlite_on.database, table)
    wanted = [("2024-02-29 12:34:56.000000",), ("2030-01-01 00:00:00.000000",)]

    with sqlite_on.database.snapshot() as connection:
        rows = read(sqlite_on.database, connection, part, wanted)
        found = [key for batch in canonical(sqlite_on.database).digest_keys(connection, part, wanted) for key, _ in batch]

    assert rows == [(b"2024-02-29 12:34:56.000000", b"1")]
    assert found == wanted[:1]


def test_integer_keys_in_text(sqlite_on: Scenario) -> None:
    """Integers beyond SQLite's own, in a column of text, are put into segments and ordered as integers."""
    sqlite_on.execute("CREATE TABLE item (id TEXT NOT NULL PRIMARY KEY, v INTEGER)")
    table = sqlite_on.describe("item")
    keys = [-5, 9, 10, 2**63, 2**64 - 1]
    insert(sqlite_on.database, table, [(str(key), 1) for key in keys])
    part = part_of(sqlite_on.database, table, types={"id": LogicalType(kind=LogicalKind.INTEGER, unsigned=True)})
    grid = Grid(scheme="range", parts=8, low=0, high=2**64 - 2)

    with sqlite_on.database.snapshot() as connection:
        digests = expected_digests(part, read(sqlite_on.database, connection, part))
        segments = canonical(sqlite_on.database).digest_segments(connection, part, grid)
        found = all_digests(sqlite_on.database, connection, part, grid, [(-1, 8)])

    assert dict(segments) == expected_segments(grid, digests)
    assert [int(key) for (key,) in found] == keys


def test_keys_that_are_no_integers(sqlite_on: Scenario) -> None:
    """A key that is declared an integer and holds text is refused, with what to do."""
    sqlite_on.execute("CREATE TABLE item (id INT NOT NULL PRIMARY KEY, v INTEGER)")
    table = sqlite_on.describe("item")
    insert(sqlite_on.database, table, [(1, 1), ("x", 2)])

    with sqlite_on.database.snapshot() as connection, pytest.raises(TableError, match=r"'id'.*no integers"):
        canonical(sqlite_on.database).key_bounds(connection, part_of(sqlite_on.database, table))


@pytest.mark.parametrize(
    ("sql_type", "logical", "text"),
    [
        ("INTEGER", LogicalType(kind=LogicalKind.INTEGER, unsigned=True), b"18446744073709551615"),
        ("INTEGER", LogicalType(kind=LogicalKind.TEXT), b"007"),
        ("DECIMAL(20,4)", LogicalType(kind=LogicalKind.DECIMAL, scale=4), b"1234567890123456.7890"),
        ("JSON", LogicalType(kind=LogicalKind.JSON, dialect="mysql"), b"1.0"),
        ("DOUBLE", LogicalType(kind=LogicalKind.INTEGER), b"9007199254740993"),
        ("DOUBLE", LogicalType(kind=LogicalKind.FLOAT), b"NaN"),
    ],
)
def test_what_affinities_would_change(sqlite_on: Scenario, sql_type: str, logical: LogicalType, text: bytes) -> None:
    """A text that SQLite would turn into another one is refused with the column's name, and nothing is loaded."""
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
        assert sqlite_on.database.count(connection, sqlite_on.database.describe(connection, "_sync_test")) == 0
