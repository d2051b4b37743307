"""Any value that an engine reads can be loaded again as it was, and what a column would change is refused."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sync.databases.schema import Value
from airflow_provider_sync.exceptions import TableError
from tests.scenario import Scenario, layout_of

TYPES: dict[str, dict[str, str]] = {
    "integer": {"": "BIGINT"},
    "decimal": {"": "DECIMAL(20,4)", "sqlite": "TEXT"},
    "double": {"": "{DOUBLE}"},
    "boolean": {"": "BOOLEAN"},
    "char": {"": "CHAR(5)"},
    "text": {"": "TEXT"},
    "date": {"": "DATE"},
    "datetime": {"": "{DATETIME}"},
    "time": {"": "TIME(6)", "duckdb": "TIME"},
    "binary": {"": "{BYTES}"},
    "json": {"": "JSON", "sqlite": "TEXT"},
}

VALUES: dict[str, list[Value]] = {
    "integer": [0, -1, 2**63 - 1, -(2**63)],
    "decimal": ["1.1000", "1234567890123456.7890", "-0.0001", "0.0000"],
    "double": [0.0, 1.1, -1.5, 1e300, 5e-324, 0.1 + 0.2, 9007199254740993.0, 1e17],
    "boolean": [0, 1],
    "char": ["abc", "", "é😀"],
    "text": ["", " ", "a ", "é😀", "\\N", "\\", "a\tb\nc\r", "NULL", "'", '"', "%s", "1e5", "007", "x" * 60_000],
    "date": ["2024-02-29", "1000-01-01", "9999-12-31"],
    "datetime": ["2024-02-29 12:34:56.123456", "1999-12-31 23:59:59.000000"],
    "time": ["00:00:00.000000", "23:59:59.999999"],
    "binary": [b"", b"\x00\xff\xfe", b"ab", bytes(range(256)), b"\\N", b"\n\t\\"],
    "json": ['{"a": [1, 2.5, "x"], "b": null}', "[]", '"é"'],
}


def create(on: Scenario, kind: str) -> None:
    """Make a table with one column of a kind."""
    sql_type = TYPES[kind].get(on.dialect, TYPES[kind][""])
    on.execute(f"CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, v {sql_type})")


@pytest.mark.parametrize("kind", TYPES)
def test_round_trip(on: Scenario, kind: str) -> None:
    """Values of every kind, including NULL, are read as they were loaded, and are equal the next time."""
    create(on, kind)
    rows = list(enumerate([*VALUES[kind], None]))

    result = on.sync("item", rows)

    assert result.verified_rows
    assert on.rows("item") == sorted(rows, key=repr)
    again = on.sync("item", sorted(on.rows("item"), key=repr))
    assert again.counts.changes == 0


def test_many_batches(on: Scenario) -> None:
    """Batches of any size, including empty ones, are loaded and counted."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(20))")
    batches = [[], [(1, "a")], [], [(number, "é") for number in range(2, 12_000)], []]
    with on.database.connect() as connection:
        target = on.database.catalog.describe(connection, "item")
        staging = on.database.ddl.create_staging(connection, layout_of(target), name="_sync_test")
        loaded = on.database.loader.load(connection, staging, batches)
        found = on.database.reader.count(connection, staging)
        on.database.ddl.drop(connection, staging)

    assert loaded == found == 11_999


def test_reading_is_sorted_and_in_batches(on: Scenario) -> None:
    """Rows are read in the requested order, in batches of limited size."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, v INTEGER)")
    on.sync("item", [(number, -number) for number in range(12_000)])
    with on.database.snapshot() as connection:
        target = on.database.catalog.describe(connection, "item")
        batches = list(on.database.reader.read(connection, target, [target.column("id")], order_by=["v"]))

    assert [row for batch in batches for row in batch] == [(number,) for number in reversed(range(12_000))]
    assert max(map(len, batches)) <= 5_000


def test_snapshot_stays_as_it_was(on: Scenario) -> None:
    """A snapshot does not show commits after its first read."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY)", "INSERT INTO item VALUES (1)")
    if on.dialect == "sqlite":
        on.execute("PRAGMA journal_mode = WAL")
    target = on.describe("item")
    with on.database.snapshot() as connection:
        assert on.database.reader.count(connection, target) == 1
        on.execute("INSERT INTO item VALUES (2)")
        seen = [row for batch in on.database.reader.read(connection, target, target.columns) for row in batch]

    assert seen == [(1,)]
    assert on.rows("item") == [(1,), (2,)]


REFUSED: dict[str, tuple[dict[str, str], Any]] = {
    "NULL where it is not allowed": ({"": "INTEGER NOT NULL"}, None),
    "text for an integer": ({"": "INTEGER", "sqlite": "INTEGER CHECK (typeof(v) = 'integer')"}, "abc"),
    "integer too large": ({"": "INTEGER", "sqlite": "INTEGER"}, 2**70),
    "decimal that would be cut": ({"": "DECIMAL(20,2)"}, "1234567890123456.789"),
    "text too long": ({"": "VARCHAR(3)", **dict.fromkeys(("sqlite", "duckdb"), "VARCHAR(3) CHECK (length(v) <= 3)")}, "abcd"),
    "no such date": ({"": "DATE", "sqlite": "DATE CHECK (date(v) IS v)"}, "2023-13-01"),
}


@pytest.mark.parametrize(("types", "value"), REFUSED.values(), ids=REFUSED)
def test_refusals(on: Scenario, types: dict[str, str], value: Value) -> None:
    """A value that a column cannot hold exactly is an error with table and column, and nothing is written."""
    on.execute(f"CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, v {types.get(on.dialect, types[''])})")
    first = "'2000-01-01'" if types[""] == "DATE" else "1"
    on.execute(f"INSERT INTO item VALUES (1, {first})")
    before = on.rows("item")

    with pytest.raises(TableError, match=r"item(.|\n)*v") as raised:
        on.sync("item", [(1, before[0][1]), (2, value)])

    assert not raised.value.retryable
    assert "_sync_" not in str(raised.value)
    assert on.rows("item") == before
    assert on.names() == ["item"]


def test_two_rows_with_one_key_are_refused(on: Scenario) -> None:
    """A duplicate key from the source is an error that names the table, and nothing is written."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, v INTEGER)", "INSERT INTO item VALUES (1, 1)")

    with pytest.raises(TableError, match="item"):
        on.sync("item", [(2, 1), (2, 2)])

    assert on.rows("item") == [(1, 1)]
    assert on.names() == ["item"]


def test_a_row_without_a_key_is_refused(on: Scenario) -> None:
    """A row without a key is refused instead of getting a generated one, and nothing is written."""
    on.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(9))", "INSERT INTO t VALUES (1, 'own')")
    with pytest.raises(TableError, match=r"(?i)table 't'.*null"):
        on.sync("t", [(None, "a"), (2, "b")])
    assert on.rows("t") == [(1, "own")]


def test_source_that_fails_leaves_nothing(on: Scenario) -> None:
    """An error while rows arrive is raised to the caller, and nothing is written."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, v INTEGER)", "INSERT INTO item VALUES (1, 1)")

    def broken() -> Any:
        yield (2, 2)
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        on.sync("item", broken())

    assert on.rows("item") == [(1, 1)]
    assert on.names() == ["item"]
