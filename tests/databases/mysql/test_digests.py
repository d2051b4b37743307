"""What version 2 needs of MySQL and MariaDB beyond the contract of all engines."""

from __future__ import annotations

import random
import struct
from hashlib import sha1
from typing import Any

import pytest
from sqlalchemy import Connection

from airflow_provider_sync.databases.mysql import load_data as mysql_load
from airflow_provider_sync.databases.table_slice import CanonicalColumn
from airflow_provider_sync.databases.version1_hash import hash_table
from airflow_provider_sync.exceptions import ProtocolError, TableError
from airflow_provider_sync.protocol.v1.numbers import mysql_double
from airflow_provider_sync.protocol.v2.messages import Partitioning, Window
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from tests.databases.canonical_rows import (
    EVERYTHING,
    all_digests,
    expected_digests,
    expected_segments,
    load,
    read,
    slice_of,
)
from tests.scenario import Scenario


def texts_of(on: Scenario, sql_type: str, values: list[str], logical: LogicalType | None = None) -> list[str | None]:
    """Write values of a type, given as SQL, by a logical type; check that their digests are those of the texts."""
    on.execute(f"CREATE TABLE item (id INT NOT NULL PRIMARY KEY, v {sql_type})")
    on.execute(*(f"INSERT INTO item VALUES ({number}, {value})" for number, value in enumerate(values)))
    table_slice = slice_of(on.database, on.describe("item"), types={"v": logical} if logical else None)
    with on.database.snapshot() as connection:
        rows = read(on.database, connection, table_slice)
        assert all_digests(on.database, connection, table_slice) == expected_digests(table_slice, rows)
    return [None if text is None else text.decode() for _, text in sorted(rows, key=lambda row: int(row[0] or b""))]


INTEGER = LogicalType(kind=LogicalKind.INTEGER)
DATE = LogicalType(kind=LogicalKind.DATE)
FLOAT = LogicalType(kind=LogicalKind.FLOAT64)
TEXT = LogicalType(kind=LogicalKind.TEXT)


def decimal(scale: int | None) -> LogicalType:
    """Return the type of decimals with so many digits after the point."""
    return LogicalType(kind=LogicalKind.DECIMAL, scale=scale)


def moment(scale: int, kind: LogicalKind = LogicalKind.TIMESTAMP) -> LogicalType:
    """Return the type of moments with so many digits of a second."""
    return LogicalType(kind=kind, scale=scale)


RENDERED: dict[str, tuple[str, list[str], LogicalType | None, list[str | None]]] = {
    "zero-filled": ("INT(5) ZEROFILL", ["7", "0", "123456"], None, ["7", "0", "123456"]),
    "zero-filled decimal": ("DECIMAL(8,2) ZEROFILL", ["1.5", "0"], None, ["1.50", "0.00"]),
    "bit": ("BIT(64)", ["b'101'", "~0", "0", "NULL"], None, ["5", str(2**64 - 1), "0", None]),
    "year": ("YEAR", ["2024", "0", "1901"], None, ["2024", "0", "1901"]),
    "zero dates": ("DATETIME(3)", ["'0000-00-00'", "'2024-01-00'"], None, ["0000-00-00 00:00:00.000", "2024-01-00 00:00:00.000"]),
    "long times": ("TIME(1)", ["'-838:59:59'", "'100:00:00.5'"], None, ["-838:59:59.0", "100:00:00.5"]),
    "enum": ("ENUM('a', 'é')", ["'é'", "NULL"], None, ["é", None]),
    "set": ("SET('a', 'b')", ["'b,a'", "''"], None, ["a,b", ""]),
    "latin1": ("VARCHAR(9) CHARACTER SET latin1", ["'é€'"], None, ["é€"]),
    "utf16": ("TEXT CHARACTER SET utf16", ["'é😀'", "NULL"], None, ["é😀", None]),
    "geometry": ("POINT", ["POINT(1, 2)"], None, ["00000000" + "0101000000" + "000000000000f03f" + "0000000000000040"]),
    "binary is padded": ("BINARY(3)", ["'a'"], None, ["610000"]),
    "single": ("FLOAT", ["16777217", "1e14", "0.1", "-0.0"], None, ["16777216", "100000000376832", "0.10000000149011612", "0"]),
    "fixed double": ("DOUBLE(8,2)", ["1.5"], None, ["1.5"]),
    "fewer decimals, zeros": ("DECIMAL(9,4)", ["1.1000", "-2.5", "0", "NULL"], decimal(2), ["1.10", "-2.50", "0.00", None]),
    "fewer decimals, more digits": ("DECIMAL(9,4)", ["1.1001", "-0.001"], decimal(2), ["1.1001", "-0.0010"]),
    "more decimals": ("DECIMAL(9,1)", ["1.1", "-0.5"], decimal(3), ["1.100", "-0.500"]),
    "decimals of an integer": ("INT", ["7", "-1"], decimal(2), ["7.00", "-1.00"]),
    "integers of a decimal": ("DECIMAL(9,2)", ["7", "1.5"], INTEGER, ["7", "1.50"]),
    "decimals of any scale": ("DECIMAL(9,4)", ["1.1000", "100", "0"], decimal(None), ["1.1", "100", "0"]),
    "integers of a double": ("DOUBLE", ["1e15", "1.5", "-3"], INTEGER, ["1000000000000000", "1.5", "-3"]),
    "decimals of a double": ("DOUBLE", ["1.1", "1.125", "1e300"], decimal(2), ["1.10", "1.125", "1e300"]),
    "doubles of a decimal": ("DECIMAL(20,2)", ["1.50", "1000000000000000"], FLOAT, ["1.5", "1e15"]),
    "fewer digits of a second, zeros": ("DATETIME(6)", ["'2024-02-29 12:34:56.5'"], moment(1), ["2024-02-29 12:34:56.5"]),
    "fewer digits of a second": ("DATETIME(6)", ["'2024-02-29 12:34:56.51'"], moment(1), ["2024-02-29 12:34:56.510000"]),
    "no digits of a second": (
        "TIME(3)",
        ["'-1:00:00'", "'1:00:00.5'"],
        moment(0, LogicalKind.TIME),
        ["-01:00:00", "01:00:00.500"],
    ),
    "more digits of a second": ("DATETIME", ["'2024-02-29 12:34:56'", "NULL"], moment(6), ["2024-02-29 12:34:56.000000", None]),
    "moments of a date": ("DATE", ["'2024-02-29'"], moment(3), ["2024-02-29 00:00:00.000"]),
    "dates of moments": (
        "DATETIME(2)",
        ["'2024-02-29'", "'2024-02-29 00:00:00.1'"],
        DATE,
        ["2024-02-29", "2024-02-29 00:00:00.10"],
    ),
    "text in bytes": ("VARBINARY(20)", ["'é|'", "NULL"], TEXT, ["é|", None]),
}
"""Type, values as SQL, logical type (the column's own if None), texts."""


@pytest.mark.parametrize("name", RENDERED)
def test_texts_by_logical_type(on: Scenario, name: str) -> None:
    """A column is written by the source's type, and values outside of it differ."""
    sql_type, values, logical, expected = RENDERED[name]

    assert texts_of(on, sql_type, values, logical) == expected


def test_doubles(on: Scenario) -> None:
    """Every digit of a double counts, in digests as in texts."""
    seeded = random.Random(1)
    numbers = [5e-324, -2.2250738585072014e-308, -0.00012345678901234567, -12345678901234567.8, 1.7976931348623157e308]
    numbers += [struct.unpack("d", bytes([*seeded.randbytes(7), seeded.randrange(0x7F)]))[0] for _ in range(300)]
    numbers += [round(seeded.uniform(-1e9, 1e9), digits) for digits in range(18) for _ in range(10)]
    numbers = [number for number in numbers if number - number == 0]

    assert texts_of(on, "DOUBLE", list(map(repr, numbers))) == list(map(mysql_double, numbers))


def test_two_collations_by_bytes(on: Scenario) -> None:
    """Columns with two binary collations can be in one key, one row text and one hash."""
    other = on.scalar(
        "SELECT MIN(COLLATION_NAME) FROM information_schema.COLLATIONS"
        " WHERE COLLATION_NAME IN ('utf8mb4_nopad_bin', 'utf8mb4_0900_bin')"
    )
    on.execute(
        "CREATE TABLE item (a VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,"
        f" b VARCHAR(9) CHARACTER SET utf8mb4 COLLATE {other}, c INT, PRIMARY KEY (a, b))",
        "INSERT INTO item VALUES ('é', 'ß', 1)",
    )
    table = on.describe("item")
    table_slice = slice_of(on.database, table)

    with on.database.snapshot() as connection:
        rows = read(on.database, connection, table_slice)
        assert all_digests(on.database, connection, table_slice) == expected_digests(table_slice, rows)
        assert hash_table(on.database, connection, table) == sha1("|é|ß|1".encode()).hexdigest()


def test_mixed_character_sets(on: Scenario) -> None:
    """Columns of any character sets and collations can be in one row text, beside bytes."""
    on.execute(
        "CREATE TABLE item (id INT NOT NULL PRIMARY KEY, a VARCHAR(9) CHARACTER SET latin1, b VARCHAR(9) CHARACTER SET cp1251,"
        " c TEXT CHARACTER SET utf16, d CHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, e BLOB,"
        " f VARCHAR(9) CHARACTER SET ascii, g VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci, h VARBINARY(9))",
        "INSERT INTO item VALUES (1, 'é', 'ж', '😀', 'x', x'00ff', 'a', 'ß', 'é')",
    )
    table_slice = slice_of(on.database, on.describe("item"), types={"h": TEXT})

    with on.database.snapshot() as connection:
        rows = read(on.database, connection, table_slice)
        assert all_digests(on.database, connection, table_slice) == expected_digests(table_slice, rows)

    assert [text.decode() for text in rows[0] if text is not None] == ["1", "é", "ж", "😀", "x", "00ff", "a", "ß", "é"]


@pytest.mark.parametrize(
    "key", ["id = id", "1) OR (1=1", "0x1", "1e3", "", "-", "1.0", "\ud800", "' OR '1", "1; DROP TABLE item"]
)
def test_keys_that_are_no_keys(on: Scenario, key: str) -> None:
    """An impossible key finds no row."""
    on.execute(
        "CREATE TABLE item (id INT NOT NULL PRIMARY KEY, v VARCHAR(20))",
        "CREATE TABLE other (k VARCHAR(20) PRIMARY KEY)",
        "INSERT INTO item VALUES (1, 'x')",
        "INSERT INTO other VALUES ('x')",
    )

    with on.database.snapshot() as connection:
        for name in ("item", "other"):
            assert read(on.database, connection, slice_of(on.database, on.describe(name)), [(key,)]) == []


@pytest.mark.parametrize(
    ("sql_type", "key"),
    [
        ("BIGINT", "5"),
        ("VARCHAR(20) CHARACTER SET utf8mb4", "k5"),
        ("VARCHAR(20) CHARACTER SET latin1", "k5"),
        ("VARCHAR(20) CHARACTER SET utf8mb3", "k5"),
        ("DECIMAL(9,2)", "5.00"),
        ("VARBINARY(20)", "6b35"),
    ],
)
def test_keys_use_their_index(on: Scenario, sql_type: str, key: str) -> None:
    """Rows are looked up by the index of their key."""
    on.execute(f"CREATE TABLE item (k {sql_type} NOT NULL PRIMARY KEY, v INT)")
    value = "seq" if sql_type in ("BIGINT", "DECIMAL(9,2)") else "CONCAT('k', seq)"
    on.execute(f"INSERT INTO item SELECT {value}, seq FROM ({numbers(2000)}) AS n", "ANALYZE TABLE item")
    statements = recorded(on, part_key=[(key,), (key.replace("5", "6"),)])

    assert [rows for statement in statements for rows in scanned(on, statement)] == [2]


def test_composite_keys_and_windows_use_their_index(on: Scenario) -> None:
    """Composite keys and windows are looked up by their index."""
    on.execute("CREATE TABLE item (a INT NOT NULL, k VARCHAR(9) NOT NULL, at DATETIME(6), PRIMARY KEY (a, k), KEY (at))")
    on.execute(f"INSERT INTO item SELECT seq DIV 2, seq, '2024-01-01' + INTERVAL seq HOUR FROM ({numbers(2000)}) AS n")
    on.execute("ANALYZE TABLE item")
    window = Window(column="at", start="2024-01-02 00:00:00.000000", end="2024-01-02 05:00:00.000000")

    assert [rows for statement in recorded(on, part_key=[("1", "2"), ("4", "9")]) for rows in scanned(on, statement)] == [2]
    assert [rows for statement in recorded(on, window=window) for rows in scanned(on, statement)] == [5]


def numbers(count: int) -> str:
    """Return a query for the numbers from 1 in its column ``seq``."""
    digit = " UNION ALL ".join(f"SELECT {number} AS n" for number in range(10))
    tables = ", ".join(f"({digit}) AS {name}" for name in "abcd")
    return f"SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 1 AS seq FROM {tables} HAVING seq <= {count}"


def recorded(on: Scenario, *, part_key: list[tuple[str, ...]] | None = None, window: Window | None = None) -> list[str]:
    """Read from the table ``item`` and return the statements that do so."""
    table_slice = slice_of(on.database, on.describe("item"), window=window)
    statements: list[str] = []
    with on.database.snapshot() as connection:
        driver: Any = connection.connection.driver_connection
        query = driver.query
        driver.query = lambda statement: (statements.append(bytes(statement).decode()), query(statement))[1]
        try:
            assert read(on.database, connection, table_slice, part_key)
        finally:
            driver.query = query
    return [statement for statement in statements if " FROM `item`" in statement]


def scanned(on: Scenario, statement: str) -> list[int]:
    """Return how many rows the server expects to look at."""
    with on.database.connect() as connection:
        prefix = "EXPLAIN FORMAT=TRADITIONAL " if not on.scalar("SELECT VERSION()").lower().count("mariadb") else "EXPLAIN "
        plan = connection.exec_driver_sql((prefix + statement).replace("%", "%%")).mappings().all()
    return [int(step["rows"]) for step in plan]


def load_one(on: Scenario, sql_type: str, logical: LogicalType, text: bytes | None, *, key: str = "id") -> None:
    """Load one value into a staging table for the table ``item``, and check what arrived."""
    on.execute(f"CREATE TABLE item (id INT NOT NULL PRIMARY KEY, v {sql_type})")
    table = on.describe("item")
    with on.database.connect(loading=True) as connection:
        try:
            staging, loaded = load(on.database, connection, table, [(b"1", text)], [INTEGER, logical], "_sync_test")
            assert loaded == 1
            landed = slice_of(on.database, staging, types={"v": logical}, key=[key])
            assert read(on.database, connection, landed) == [(b"1", text)]
        finally:
            on.database.ddl.drop(connection, on.database.catalog.describe(connection, "_sync_test"))


LANDING: dict[str, tuple[str, LogicalType, bytes | None]] = {
    "bit": ("BIT(12)", INTEGER, b"4095"),
    "year zero": ("YEAR", INTEGER, b"0"),
    "year": ("YEAR", INTEGER, b"2024"),
    "zero-filled": ("INT(6) ZEROFILL", INTEGER, b"42"),
    "bytes": ("VARBINARY(9)", LogicalType(kind=LogicalKind.BYTES), b"00ff5c09"),
    "empty bytes": ("BLOB", LogicalType(kind=LogicalKind.BYTES), b""),
    "geometry": ("POINT", LogicalType(kind=LogicalKind.BYTES), b"000000000101000000000000000000f03f0000000000000040"),
    "text in bytes": ("BLOB", TEXT, "é\t\\|".encode()),
    "latin1": ("VARCHAR(9) CHARACTER SET latin1", TEXT, "é€".encode()),
    "enum": ("ENUM('1', 'é')", TEXT, "é".encode()),
    "set": ("SET('a', 'b')", TEXT, b"a,b"),
    "char": ("CHAR(9)", TEXT, b"a b"),
    "json": ("JSON", LogicalType(kind=LogicalKind.JSON, json_dialect="mysql"), '{"a": "é\\\\\\t"}'.encode()),
    "fixed seconds": ("TIME(3)", moment(6, LogicalKind.TIME), b"-838:59:58.500000"),
    "zero date": ("DATETIME", moment(0), b"0000-00-00 00:00:00"),
    "single": ("FLOAT", LogicalType(kind=LogicalKind.FLOAT32), b"0.10000000149011612"),
    "single of two decimals": ("FLOAT(7,2)", LogicalType(kind=LogicalKind.FLOAT32), b"3.0999999046325684"),
    "double": ("DOUBLE", FLOAT, b"-2.2250738585072014e-308"),
    "whole double": ("DOUBLE", FLOAT, b"1e22"),
    "decimal in a double": ("DOUBLE", decimal(2), b"1.10"),
    "null": ("BLOB", LogicalType(kind=LogicalKind.BYTES), None),
    "line ends": ("TEXT", TEXT, b"\r\n\t\\N\\\x00\x1a'\"%s"),
}


@pytest.mark.parametrize("way", ["load data", "insert"])
@pytest.mark.parametrize("name", LANDING)
def test_texts_land(on: Scenario, monkeypatch: pytest.MonkeyPatch, name: str, way: str) -> None:
    """A text arrives unchanged, with and without LOAD DATA LOCAL."""
    if way == "insert":
        monkeypatch.setattr(mysql_load, "_allows_load_data", lambda *_: False)

    load_one(on, *LANDING[name])


MANGLED: dict[str, tuple[str, LogicalType, bytes]] = {
    "fraction of an integer": ("INT", INTEGER, b"1.5"),
    "spaces of a CHAR": ("CHAR(9)", TEXT, b"a "),
    "number of an enum's member": ("ENUM('a', 'b')", TEXT, b"1"),
    "order of a set": ("SET('a', 'b')", TEXT, b"b,a"),
    "bytes that are padded": ("BINARY(3)", LogicalType(kind=LogicalKind.BYTES), b"00"),
    "odd number of digits": ("BLOB", LogicalType(kind=LogicalKind.BYTES), b"000"),
    "not hexadecimal": ("BLOB", LogicalType(kind=LogicalKind.BYTES), b"zz"),
    "fraction of a second": ("DATETIME(3)", moment(6), b"2024-02-29 12:00:00.000001"),
    "third decimal": ("FLOAT(7,2)", LogicalType(kind=LogicalKind.FLOAT32), b"3.125"),
    "double as single": ("FLOAT", FLOAT, b"0.1000000000000001"),
    "digits of a double": ("DOUBLE", FLOAT, b"9007199254740993"),
    "digits of a decimal": ("DECIMAL(9,2)", decimal(3), b"1.125"),
    "time of a date": ("DATE", moment(0), b"2024-02-29 12:00:00"),
    "short year": ("YEAR", INTEGER, b"24"),
    "bits": ("BIT(3)", INTEGER, b"9"),
    "length": ("VARCHAR(3)", TEXT, b"abcd"),
    "character": ("VARCHAR(3) CHARACTER SET latin1", TEXT, "ж".encode()),
}


@pytest.mark.parametrize("way", ["load data", "insert"])
@pytest.mark.parametrize("name", MANGLED)
def test_nothing_is_mangled(on: Scenario, monkeypatch: pytest.MonkeyPatch, name: str, way: str) -> None:
    """Values that the server would change silently are refused with table and column."""
    if way == "insert":
        monkeypatch.setattr(mysql_load, "_allows_load_data", lambda *_: False)

    with pytest.raises(TableError, match="_sync_test") as caught:
        load_one(on, *MANGLED[name])

    assert "'v'" in str(caught.value) or "`v`" in str(caught.value)
    assert on.scalar("SELECT COUNT(*) FROM item") == 0


@pytest.mark.parametrize("block", [b"1\n", b"1\tx\ty\n", b"1\tx"], ids=["short", "long", "cut"])
def test_lines_that_are_no_rows(on: Scenario, block: bytes) -> None:
    """A line with too few or too many fields, or without its end, is refused."""
    on.execute("CREATE TABLE item (id INT NOT NULL PRIMARY KEY, v TEXT)")
    table = on.describe("item")
    columns = [CanonicalColumn(column=column, type=on.database.catalog.logical_type(column)) for column in table.columns]

    with on.database.connect(loading=True) as connection, pytest.raises((TableError, ProtocolError)):
        on.database.loader.load_text(connection, table, columns, [block])


def test_partitions_and_unsigned_keys_below_zero(on: Scenario) -> None:
    """A partitioning with bounds below zero cuts a table of unsigned keys, in key order."""
    on.execute(
        "CREATE TABLE item (id BIGINT UNSIGNED NOT NULL PRIMARY KEY, v INT) PARTITION BY HASH (id) PARTITIONS 3",
        "INSERT INTO item VALUES (0, 1), (5, 2), (3, 3), (18446744073709551615, 4)",
    )
    table_slice = slice_of(on.database, on.describe("item"))
    partitioning = Partitioning(scheme="key_range", segment_count=4, low=-10, high=7)

    with on.database.snapshot() as connection:
        digests = expected_digests(table_slice, read(on.database, connection, table_slice))
        assert on.database.digests.digest_segments(connection, table_slice, partitioning) == expected_segments(
            partitioning, digests
        )
        assert [key for (key,) in all_digests(on.database, connection, table_slice, partitioning, [(-1, 4)])] == [
            "0",
            "3",
            "5",
            str(2**64 - 1),
        ]


@pytest.mark.parametrize(("rows", "estimated"), [(0, 0), (1, 1), (2000, 2000)])
def test_small_tables_are_counted(on: Scenario, rows: int, estimated: int) -> None:
    """The estimate of a small table is its number of rows."""
    on.execute("CREATE TABLE item (id INT NOT NULL PRIMARY KEY)")
    on.execute(f"INSERT INTO item SELECT seq FROM ({numbers(rows)}) AS n")
    table_slice = slice_of(on.database, on.describe("item"))

    with on.database.snapshot() as connection:
        assert on.database.digests.estimate_rows(connection, table_slice) == estimated


@pytest.mark.parametrize("start", ["yesterday", "1' OR '1", "2024-02-29; --"])
def test_windows_that_are_none(on: Scenario, start: str) -> None:
    """A bound that is not a value of the column is refused with its name."""
    on.execute("CREATE TABLE item (id INT NOT NULL PRIMARY KEY, at DATETIME)")
    table_slice = slice_of(on.database, on.describe("item"), window=Window(column="at", start=start, end="2024-03-01"))

    def ask(connection: Connection) -> None:
        on.database.digests.digest_segments(connection, table_slice, EVERYTHING)

    with on.database.snapshot() as connection, pytest.raises(TableError, match="'at'"):
        ask(connection)


def test_all_rows_as_one_segment(on: Scenario) -> None:
    """Rows of one segment are summed without a temporary table."""
    on.execute("CREATE TABLE item (id INT NOT NULL PRIMARY KEY, v VARCHAR(20))", "INSERT INTO item VALUES (1, 'a'), (2, 'b')")
    table_slice = slice_of(on.database, on.describe("item"))

    def temporary_tables(connection: Connection) -> int:
        return int(connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Created_tmp_tables'").one()[1])

    with on.database.snapshot() as connection:
        digests = expected_digests(table_slice, read(on.database, connection, table_slice))
        asking = temporary_tables(connection)
        asking = temporary_tables(connection) - asking
        for scheme in ("row_hash", "key_hash"):
            partitioning = Partitioning(scheme=scheme, segment_count=1)
            before = temporary_tables(connection)
            segments = on.database.digests.digest_segments(connection, table_slice, partitioning)
            assert temporary_tables(connection) - before == asking
            assert dict(segments) == expected_segments(partitioning, digests)
