"""A second unique key stops exactly those merges whose result would break it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from airflow_provider_sync.databases.schema import Row
from airflow_provider_sync.exceptions import TableError
from tests.scenario import Scenario

ITEM = "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, code VARCHAR(20) NOT NULL UNIQUE)"
NULLABLE = "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, code VARCHAR(20) UNIQUE)"

MOVES = {
    "taken by a new row": ([(1, "A"), (2, "B")], [(0, "A"), (1, "C")]),
    "swap": ([(1, "A"), (2, "B")], [(1, "B"), (2, "A")]),
    "rotation of three": ([(1, "A"), (2, "B"), (3, "C")], [(1, "B"), (2, "C"), (3, "A")]),
    "rotation the other way": ([(1, "A"), (2, "B"), (3, "C")], [(1, "C"), (2, "A"), (3, "B")]),
    "chain up": ([(1, "A"), (2, "B"), (3, "C")], [(1, "B"), (2, "C"), (3, "D")]),
    "chain down": ([(1, "B"), (2, "C"), (3, "D")], [(1, "A"), (2, "B"), (3, "C")]),
    "freed by a deleted row": ([(1, "A"), (2, "B")], [(2, "A")]),
    "freed by a deleted row for a new one": ([(1, "A"), (2, "B")], [(2, "B"), (3, "A")]),
    "swap beside a new row that takes an old value": ([(1, "A"), (2, "B"), (3, "C")], [(1, "B"), (2, "A"), (3, "D"), (4, "C")]),
    "case only": ([(1, "A"), (2, "B")], [(1, "a"), (2, "B")]),
}


def insert(on: Scenario, table: str, rows: Sequence[Row]) -> None:
    """Give a table its first rows."""
    on.sync(table, rows)


@pytest.mark.parametrize("create", [ITEM, NULLABLE], ids=["not null", "nullable"])
@pytest.mark.parametrize(("before", "after"), MOVES.values(), ids=MOVES)
def test_values_move_between_rows(on: Scenario, create: str, before: list[Row], after: list[Row]) -> None:
    """Rows take each other's values of a unique key in any way that leaves each value once."""
    on.execute(create)
    insert(on, "item", before)

    on.sync("item", after)

    assert on.rows("item") == after


KINDS = {
    "integer": ("INTEGER", [1, 2, 3]),
    "smallest integer": ("SMALLINT", [32767, 32766, -32768]),
    "largest integer": ("BIGINT", [2**63 - 1, 2**63 - 2, -(2**63)]),
    "decimal": ("DECIMAL(4,2)", ["99.99", "99.98", "-99.99"]),
    "double": ("{DOUBLE}", [1.5, 2.5, float(2**53 - 1)]),
    "one character": ("CHAR(1)", ["a", "b", "~"]),
    "two characters": ("VARCHAR(2)", ["~~", "é", ""]),
    "text": ("VARCHAR(100)", ["a", "b", "c"]),
    "date": ("DATE", ["2024-01-01", "9999-12-31", "1999-12-31"]),
    "date and time": ("{DATETIME}", ["2024-01-01 00:00:00.000000", "9999-12-31 23:59:59.000000", "1999-12-31 00:00:00.250000"]),
    "time": ("TIME", ["00:00:00", "23:59:59", "12:34:56"]),
    "bytes": ("{SHORTBYTES}", [b"\x00\xff", b"a", b"\xff" * 20]),
}


@pytest.mark.parametrize(("sql_type", "values"), KINDS.values(), ids=KINDS)
def test_values_of_every_kind_rotate(on: Scenario, sql_type: str, values: list[int | float | str | bytes]) -> None:
    """Values of every type can rotate, even if NULL is not allowed and the ends of the range are used."""
    on.execute(f"CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, code {sql_type} NOT NULL UNIQUE)")
    insert(on, "item", list(enumerate(values)))
    before = on.rows("item")

    on.sync("item", list(enumerate(values[1:] + values[:1])))

    codes = [row[1] for row in before]
    assert on.rows("item") == list(enumerate(codes[1:] + codes[:1]))


def test_composite_unique_key(on: Scenario) -> None:
    """For a unique key over several columns, a placeholder in one column is enough."""
    on.execute(
        "CREATE TABLE seat (id INTEGER NOT NULL PRIMARY KEY, line INTEGER NOT NULL, place INTEGER NOT NULL, who VARCHAR(9),"
        " UNIQUE (line, place))"
    )
    insert(on, "seat", [(1, 1, 1, "a"), (2, 1, 2, "b"), (3, 2, 1, "c"), (4, 2, 2, "d")])

    after = [(1, 1, 2, "a"), (2, 1, 1, "b"), (3, 2, 2, "c"), (4, 2, 1, "d")]
    on.sync("seat", after)

    assert on.rows("seat") == after


@pytest.mark.parametrize("sql_type", ["BOOLEAN", "BIT(1)"])
def test_values_move_whatever_the_keys_type(on: Scenario, sql_type: str) -> None:
    """Values move even if the database cannot compare the rows' keys with numbers."""
    if sql_type == "BIT(1)" and on.dialect == "duckdb":
        pytest.skip("bits are text there")
    on.execute(f"CREATE TABLE item (flag {sql_type} NOT NULL, code VARCHAR(9) NOT NULL UNIQUE, PRIMARY KEY (flag))")
    insert(on, "item", [(0, "a"), (1, "b")])

    on.sync("item", [(0, "b"), (1, "a")])

    assert on.rows("item") == [(0, "b"), (1, "a")]


def test_values_move_whatever_the_columns_names(on: Scenario) -> None:
    """Values move for any column names, also those of statement parameters."""
    on.execute("CREATE TABLE item (key_0 INTEGER NOT NULL PRIMARY KEY, free VARCHAR(9) NOT NULL UNIQUE)")
    insert(on, "item", [(1, "a"), (2, "b")])

    on.sync("item", [(1, "b"), (2, "a")])

    assert on.rows("item") == [(1, "b"), (2, "a")]


def test_unique_key_that_is_staged_in_part(on: Scenario) -> None:
    """A unique key may have columns that the source does not send."""
    on.execute(
        "CREATE TABLE seat (id INTEGER NOT NULL PRIMARY KEY, line INTEGER DEFAULT 7, place INTEGER NOT NULL,"
        " UNIQUE (line, place))"
    )
    insert(on, "seat", [(1, 1, 1), (2, 1, 2), (3, 2, 1)])

    on.sync("seat", [(1, 2), (2, 1), (3, 1)], columns=["id", "place"])

    assert on.rows("seat") == [(1, 1, 2), (2, 1, 1), (3, 2, 1)]


def test_several_unique_keys(on: Scenario) -> None:
    """Values of several unique keys can be exchanged in one merge, in different ways."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, a INTEGER NOT NULL UNIQUE, b VARCHAR(9) UNIQUE)")
    insert(on, "item", [(1, 1, "x"), (2, 2, "y"), (3, 3, None)])

    after = [(1, 2, None), (2, 3, "x"), (3, 1, "y")]
    on.sync("item", after)

    assert on.rows("item") == after


def test_primary_key_that_does_not_identify_rows(on: Scenario) -> None:
    """If another key identifies rows, values of the primary key can be exchanged."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, code VARCHAR(9) NOT NULL UNIQUE)")
    insert(on, "item", [(1, "a"), (2, "b"), (3, "c")])

    result = on.sync("item", [(2, "a"), (1, "b"), (3, "c")], key=["code"])

    assert on.rows("item") == [(1, "b"), (2, "a"), (3, "c")]
    assert (result.counts.inserted, result.counts.updated, result.counts.deleted) == (0, 2, 0)


def test_nulls_do_not_conflict(on: Scenario) -> None:
    """Several rows may change their value to NULL."""
    on.execute(NULLABLE)
    insert(on, "item", [(1, "A"), (2, "B"), (3, None)])

    on.sync("item", [(1, None), (2, "A"), (3, "B")])

    assert on.rows("item") == [(1, None), (2, "A"), (3, "B")]


def test_many_rows_rotate(on: Scenario) -> None:
    """Every row of a larger table can take its neighbour's value."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, code SMALLINT NOT NULL UNIQUE)")
    insert(on, "item", [(number, number) for number in range(1200)])

    after = [(number, (number + 1) % 1200) for number in range(1200)]
    on.sync("item", after)

    assert on.rows("item") == sorted(after, key=repr)


def test_value_that_a_row_keeps_is_refused(on: Scenario) -> None:
    """A value that one row keeps and another should get is an error that names table and key, and nothing is written."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, code {CASELESS} NOT NULL, n INTEGER)")
    on.execute("CREATE UNIQUE INDEX item_code ON item (code)")
    insert(on, "item", [(1, "A", 0), (2, "B", 0)])
    taken = "a" if on.dialect not in ("postgresql", "duckdb") else "A"

    with pytest.raises(TableError, match=r"'item'.*code") as raised:
        on.sync("item", [(1, "A", 9), (2, taken, 9)])

    assert not raised.value.retryable
    assert on.rows("item") == [(1, "A", 0), (2, "B", 0)]


def test_value_that_two_new_rows_bring_is_refused(on: Scenario) -> None:
    """Two staged rows with the same value are an error that names the table, and nothing is written."""
    on.execute(ITEM)
    insert(on, "item", [(1, "A")])

    with pytest.raises(TableError, match="'item'"):
        on.sync("item", [(1, "A"), (2, "B"), (3, "B")])

    assert on.rows("item") == [(1, "A")]


def test_values_without_a_free_one_move(on: Scenario) -> None:
    """If no placeholder is free, rows are deleted and inserted again."""
    sql_type = "ENUM('0', '1')" if on.dialect == "mysql" else "BOOLEAN"
    on.execute(f"CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, flag {sql_type} NOT NULL UNIQUE, mine VARCHAR(9))")
    no, yes = ("0", "1") if on.dialect == "mysql" else (0, 1)
    on.execute(
        f"INSERT INTO item VALUES (1, {no!r}, 'kept'), (2, {yes!r}, 'too')".replace("1, 0", "1, '0'").replace("2, 1", "2, '1'")
    )

    on.sync("item", [(1, yes), (2, no)], columns=["id", "flag"])

    assert on.rows("item") == [(1, yes, "kept"), (2, no, "too")]


def test_deferrable_key_is_left_to_the_database(postgresql_on: Scenario) -> None:
    """PostgreSQL checks a deferrable constraint at the end, so no placeholder is needed."""
    postgresql_on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, flag BOOLEAN NOT NULL UNIQUE DEFERRABLE)")
    insert(postgresql_on, "item", [(1, 0), (2, 1)])

    postgresql_on.sync("item", [(1, 1), (2, 0)])

    assert postgresql_on.rows("item") == [(1, 1), (2, 0)]


@pytest.mark.parametrize("clause", ["REPLACE", "IGNORE", "FAIL", "ROLLBACK"])
@pytest.mark.parametrize("rows", [[], [(2, "b"), (9, "a")]], ids=["first", "difference"])
def test_a_clause_of_a_constraint_decides_nothing(sqlite_on: Scenario, clause: str, rows: list[Row]) -> None:
    """On SQLite, ``ON CONFLICT`` of a constraint deletes or skips no row; the merge is refused as on other engines."""
    sqlite_on.execute(f"CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, e TEXT UNIQUE ON CONFLICT {clause})")
    for row in rows:
        sqlite_on.execute(f"INSERT INTO item VALUES {row}")

    with pytest.raises(TableError, match=r"UNIQUE constraint failed: item\.e|keep values of the unique key"):
        sqlite_on.sync("item", [(1, "a"), (2, "b"), (3, "a")], verify_rows=False)

    assert sqlite_on.rows("item") == rows
