"""Types that only DuckDB has, its texts of numbers, and what lines of text could be mistaken for."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random

import pytest

from airflow_provider_sync.databases.duckdb.text import canonical_text
from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.databases.sqlite.text import float_text
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from tests.databases.canonical_rows import all_digests, load, read, slice_of
from tests.scenario import Scenario
from tests.sync.link import linked

VALUES = {
    "HUGEINT": ("-170141183460469231731687303715884105728", "-170141183460469231731687303715884105728"),
    "UHUGEINT": ("340282366920938463463374607431768211455", "340282366920938463463374607431768211455"),
    "UBIGINT": ("18446744073709551615", "18446744073709551615"),
    "UTINYINT": ("255", "255"),
    "DECIMAL(38, 10)": ("1234567890123456789012345678.0123456789", "1234567890123456789012345678.0123456789"),
    "DECIMAL(4, 4)": ("-0.0512", "-0.0512"),
    "DECIMAL(38, 38)": ("0", "0." + "0" * 38),
    "TIMESTAMP_S": ("2024-02-29 12:34:56", "2024-02-29 12:34:56"),
    "TIMESTAMP_MS": ("2024-02-29 12:34:56.5", "2024-02-29 12:34:56.500"),
    "TIMESTAMP_NS": ("2024-02-29 12:34:56.123456789", "2024-02-29 12:34:56.123456789"),
    "TIMESTAMPTZ": ("2024-02-29 12:34:56.5+02", "2024-02-29 10:34:56.500000"),
    "TIMESTAMP": ("infinity", "infinity"),
    "DATE": ("0044-03-15 (BC)", "0044-03-15 (BC)"),
    "INTERVAL": ("1 year 2 days", "1 year 2 days"),
    "ENUM('a', 'it''s')": ("it''s", "it's"),
    "BIT": ("0101", "0101"),
    "INTEGER[]": ("[1, NULL, 3]", "[1, NULL, 3]"),
    "STRUCT(a INTEGER, b VARCHAR)": ("{''a'': 1, ''b'': x}", "{'a': 1, 'b': x}"),
    "JSON": ('{"a":  [1]}', '{"a":  [1]}'),
}


def test_every_type_arrives(duckdb_on: Scenario) -> None:
    """Values of every type have one text, and arrive in a column of the type with the same digest."""
    columns = ", ".join(f"c{place} {sql_type}" for place, sql_type in enumerate(VALUES))
    literals = ", ".join(f"'{value}'" for value, _ in VALUES.values())
    nulls = ", ".join("NULL" for _ in VALUES)
    duckdb_on.execute(f"CREATE TABLE item (id INTEGER PRIMARY KEY, {columns})")
    duckdb_on.execute(f"INSERT INTO item VALUES (1, {literals}), (2, {nulls})")
    table = duckdb_on.describe("item")
    table_slice = slice_of(duckdb_on.database, table)
    with duckdb_on.database.connect() as connection:
        rows = read(duckdb_on.database, connection, table_slice)
        assert rows == [(b"1", *(text.encode() for _, text in VALUES.values())), (b"2", *[None] * len(VALUES))]
        types = [column.type for column in table_slice.columns]
        staging, _ = load(duckdb_on.database, connection, table, rows, types, "_sync_test")
        landed = slice_of(duckdb_on.database, staging)
        assert all_digests(duckdb_on.database, connection, landed) == all_digests(duckdb_on.database, connection, table_slice)


def test_doubles_are_written_as_everywhere(duckdb_on: Scenario) -> None:
    """Doubles of every size have the text of all engines."""
    random = Random(7)
    doubles = [struct.unpack("d", random.randbytes(8))[0] for _ in range(1000)]
    doubles += [random.uniform(-1, 1) * 10 ** random.randint(-18, 24) for _ in range(1000)]
    doubles += [float(random.randint(-(10**18), 10**18)) for _ in range(500)] + [2.0**power for power in range(-1074, 1024)]
    doubles += [0.0, -0.0, 1e-4, 9.99e-5, 1e-15, 9.9e-16, 1e15, 1e16, 1234567890123456.5, float("inf"), float("-inf")]
    written = canonical_text(Column(name="x", kind=Kind.DOUBLE, sql_type="DOUBLE"), LogicalType(kind=LogicalKind.FLOAT64), "x")
    with duckdb_on.database.connect() as connection:
        found = connection.exec_driver_sql(
            f"SELECT list({written} ORDER BY i) FROM (SELECT unnest(?) AS x, unnest(range(?)) AS i)", (doubles, len(doubles))
        ).scalar_one()
    assert found == [float_text(number) for number in doubles]


@pytest.mark.parametrize("texts", [["", "\ufeff", "-", "\\N", "a\tb"], ["\ufeffx", "\x00", "\x85\u2028", '"', "a\\\\tb\\"]])
def test_lines_are_taken_as_they_are(duckdb_on: Scenario, texts: list[str]) -> None:
    """An empty text, byte order marks, and unusual line separators arrive unchanged."""
    duckdb_on.execute("CREATE TABLE word (code VARCHAR PRIMARY KEY)")
    duckdb_on.sync("word", [(text,) for text in texts])
    assert duckdb_on.rows("word") == sorted(((text,) for text in texts), key=repr)


def test_a_long_text_arrives(duckdb_on: Scenario) -> None:
    """A text may be much longer than DuckDB's read buffer."""
    duckdb_on.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, v VARCHAR)")
    duckdb_on.sync("item", [(1, "x" * 40_000_000), (2, "y")])
    assert duckdb_on.scalar("SELECT list(strlen(v) ORDER BY id) FROM item") == [40_000_000, 1]


@pytest.mark.parametrize(("sql_type", "value"), [("TIMESTAMP", "2024-02-29 12:34:56.1234567"), ("DATE", "2024-02-29 12:00:00")])
def test_times_are_not_cut(duckdb_on: Scenario, sql_type: str, value: str) -> None:
    """A time with more digits than its column has is refused, and nothing is written."""
    duckdb_on.execute(f"CREATE TABLE item (id INTEGER PRIMARY KEY, v {sql_type})")
    with pytest.raises(TableError, match=r"'item', column 'v' \("):
        duckdb_on.sync("item", [(1, value)])
    assert duckdb_on.rows("item") == []


def test_sequences_in_schemas_follow(duckdb_on: Scenario) -> None:
    """A sequence in any schema is moved past the highest key, and never back."""
    duckdb_on.execute(
        "CREATE SCHEMA shop",
        "CREATE SEQUENCE shop.numbers START 100",
        "CREATE TABLE shop.item (id INTEGER DEFAULT nextval('shop.numbers') PRIMARY KEY, n INTEGER)",
        "INSERT INTO shop.item (n) VALUES (1)",
    )
    duckdb_on.sync("shop.item", [(5, 1)])
    duckdb_on.execute("INSERT INTO shop.item (n) VALUES (1)")
    duckdb_on.sync("shop.item", [(5, 1), (500, 1)])
    duckdb_on.execute("INSERT INTO shop.item (n) VALUES (1)")
    assert duckdb_on.rows("shop.item") == [(5, 1), (500, 1), (501, 1)]


def test_texts_of_several_collations(duckdb_url: str, tmp_path: Path) -> None:
    """Columns of different collations are compared by bytes, like all others."""
    with linked(f"duckdb:///{tmp_path / 'source.duckdb'}", duckdb_url) as link:
        link.protocol = "2"
        link.create("CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR COLLATE NOCASE, b VARCHAR COLLATE NOACCENT)")
        link.source.execute("INSERT INTO t VALUES (1, 'a', 'e'), (2, NULL, 'x')")
        link.target.execute("INSERT INTO t VALUES (1, 'A', 'é'), (2, NULL, 'x')")
        assert link.sync_one("t").rows_updated == 1
        link.assert_equal("t")


def test_nanoseconds_by_version_1(duckdb_on: Scenario) -> None:
    """Version 1 checks for dates before the year 1 also in columns that cannot hold them."""
    duckdb_on.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n TIMESTAMP_NS, d DATE)", "INSERT INTO t VALUES (1, '2024-01-01', NULL)"
    )
    table = duckdb_on.describe("t")
    with duckdb_on.database.snapshot() as connection:
        assert duckdb_on.database.version1.find_unsendable(connection, table, table.columns) is None
    duckdb_on.execute("UPDATE t SET d = '0001-12-31 (BC)'")
    with duckdb_on.database.snapshot() as connection:
        assert duckdb_on.database.version1.find_unsendable(connection, table, table.columns) == table.column("d")
