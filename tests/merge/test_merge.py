"""The merge makes a target equal to what is staged, by bytes, or leaves it as it was."""

from __future__ import annotations

import pytest

from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.merge.merge_result import MergeCounts
from tests.scenario import Scenario

FRUIT = "CREATE TABLE fruit (id INTEGER NOT NULL PRIMARY KEY, name {CASELESS})"


def test_inserts_updates_and_deletes(fruit: Scenario) -> None:
    """Missing rows are inserted, different rows updated, surplus rows deleted, and all are counted."""
    result = fruit.sync("fruit", [(1, "apple"), (2, "PEACH"), (4, "fig")])

    assert fruit.rows("fruit") == [(1, "apple"), (2, "PEACH"), (4, "fig")]
    assert result.counts == MergeCounts(target_rows=3, inserted=1, updated=1, deleted=1)
    assert result.verified_rows
    assert result.warnings == ()
    assert result.orphans == {}


def test_equal_rows_change_nothing(fruit: Scenario) -> None:
    """Staged rows that equal the target's change no row."""
    result = fruit.sync("fruit", [(1, "apple"), (2, "pear"), (3, "plum")])

    assert result.counts.changes == 0
    assert result.counts.target_rows == 3


def test_more_columns_than_levels_of_an_expression(sqlite_on: Scenario) -> None:
    """A table may have more columns than the 1,000 levels of an expression that SQLite allows."""
    names = [f"c{number} INTEGER" for number in range(1, 1100)]
    sqlite_on.execute(
        f"CREATE TABLE wide (id INTEGER NOT NULL PRIMARY KEY, {', '.join(names)})", "INSERT INTO wide (id) VALUES (1)"
    )
    row = (1, *range(1, 1100))

    assert sqlite_on.sync("wide", [row]).counts == MergeCounts(target_rows=1, inserted=0, updated=1, deleted=0)
    assert sqlite_on.rows("wide") == [row]


def test_fills_an_empty_table(on: Scenario) -> None:
    """An empty target gets every row."""
    on.execute(FRUIT)

    assert on.sync("fruit", [(1, "apple"), (2, None)]).counts == MergeCounts(target_rows=0, inserted=2, updated=0, deleted=0)
    assert on.rows("fruit") == [(1, "apple"), (2, None)]


def test_empties_a_table(fruit: Scenario) -> None:
    """An empty source deletes every row, if no guard stops it."""
    assert fruit.sync("fruit", []).counts == MergeCounts(target_rows=3, inserted=0, updated=0, deleted=3)
    assert fruit.rows("fruit") == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("'apple'", "Apple"),
        ("'apple'", "apple "),
        ("'apple'", None),
        ("NULL", ""),
        ("''", None),
        ("'cafe'", "café"),
        ("' '", "  "),
    ],
)
def test_compares_by_bytes(on: Scenario, before: str, after: str | None) -> None:
    """Values that a collation considers equal, and NULL and the empty text, are different values."""
    on.execute(FRUIT, f"INSERT INTO fruit VALUES (1, {before})")

    assert on.sync("fruit", [(1, after)]).counts.updated == 1
    assert on.rows("fruit") == [(1, after)]
    assert on.sync("fruit", [(1, after)]).counts.changes == 0


@pytest.mark.parametrize("null", ["", " NOT NULL"])
@pytest.mark.parametrize(
    ("before", "after"), [('{"a": 1.0}', '{"a": 1}'), ('[true, "x", 2]', '[true, "x", 2.00]'), ("-0.0", "0"), ("null", "[]")]
)
def test_json_is_written_as_it_is(on: Scenario, before: str, after: str, null: str) -> None:
    """JSON that a database considers equal, such as 1 and 1.0, becomes the staged text; MySQL skips such an update."""
    on.execute(
        f"CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, j JSON{null}, n INTEGER)",
        f"INSERT INTO item VALUES (1, '{before}', 5)",
    )
    on.execute("CREATE TABLE wanted (j JSON)", f"INSERT INTO wanted VALUES ('{after}')")
    ((wanted,),) = on.rows("wanted")

    on.sync("item", [(1, wanted)], columns=["id", "j"])

    assert on.rows("item") == [(1, wanted, 5)]
    assert on.sync("item", [(1, wanted)], columns=["id", "j"]).counts.changes == 0


@pytest.mark.parametrize(
    ("before", "after", "stored"), [("1", 1.0, "real"), ("1.0", 1, "integer"), ("'1'", 1, "integer"), ("1", "1", "text")]
)
def test_values_without_a_type_keep_theirs(sqlite_on: Scenario, before: str, after: float | str, stored: str) -> None:
    """In a column of SQLite without a type, 1, 1.0 and '1' are three values."""
    sqlite_on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, x)", f"INSERT INTO item VALUES (1, {before})")

    assert sqlite_on.sync("item", [(1, after)]).counts.updated == 1
    assert sqlite_on.scalar("SELECT typeof(x) FROM item") == stored


def test_keys_that_differ_in_case_arrive_as_they_are(on: Scenario) -> None:
    """A key whose case changes is written as at the source; only the database decides whether it is another row."""
    on.execute(
        "CREATE TABLE word (code {CASELESS} NOT NULL PRIMARY KEY, n INTEGER)", "INSERT INTO word VALUES ('abc', 1), ('x', 2)"
    )

    result = on.sync("word", [("ABC", 1), ("x", 2)])

    assert on.rows("word") == [("ABC", 1), ("x", 2)]
    expected = (1, 0, 1) if on.dialect in ("postgresql", "duckdb") else (0, 1, 0)
    assert (result.counts.inserted, result.counts.updated, result.counts.deleted) == expected


def test_composite_text_keys(on: Scenario) -> None:
    """A key may have several columns, of text and of numbers, in another order than in the table."""
    on.execute(
        "CREATE TABLE price (amount INTEGER, region VARCHAR(20) NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (region, id))",
        "INSERT INTO price VALUES (1, 'nörd', 1), (2, 'nörd', 2), (3, 'süd', 1)",
    )

    result = on.sync("price", [(1, "nörd", 1), (5, "nörd", 2), (3, "ost", 1)])

    assert on.rows("price") == [(1, "nörd", 1), (3, "ost", 1), (5, "nörd", 2)]
    assert (result.counts.inserted, result.counts.updated, result.counts.deleted) == (1, 1, 1)


def test_columns_called_as_those_of_the_merge(on: Scenario) -> None:
    """A key column may have the name ``op``, like a column of the merge's own tables."""
    on.execute("CREATE TABLE step (op VARCHAR(9) NOT NULL, id INTEGER NOT NULL, v INTEGER UNIQUE, PRIMARY KEY (op, id))")
    on.execute("INSERT INTO step VALUES ('D', 1, 10), ('U', 2, 20), ('I', 3, 30)")

    result = on.sync("step", [("U", 2, 30), ("I", 3, 20), ("X", 4, 40)])

    assert sorted(on.rows("step")) == [("I", 3, 20), ("U", 2, 30), ("X", 4, 40)]
    assert result.counts == MergeCounts(target_rows=3, inserted=1, updated=2, deleted=1)


def test_key_that_is_not_the_primary_key(on: Scenario) -> None:
    """Rows may be identified by other columns than the primary key."""
    on.execute(
        "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, code VARCHAR(20) NOT NULL, n INTEGER)",
        "INSERT INTO item VALUES (1, 'a', 1), (2, 'b', 2)",
    )

    on.sync("item", [(2, "a", 1), (3, "c", 7)], key=["code"])

    assert on.rows("item") == [(2, "a", 1), (3, "c", 7)]


def test_key_that_does_not_identify_rows_is_refused(on: Scenario) -> None:
    """A configured key that several rows of the target share stops the merge, and nothing is written."""
    on.execute(
        "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, code VARCHAR(20) NOT NULL)",
        "INSERT INTO item VALUES (1, 'a'), (2, 'a')",
    )

    with pytest.raises(TableError, match=r"item.*several rows of the target have one key \(code\)"):
        on.sync("item", [(1, "b")], key=["code"])

    assert on.rows("item") == [(1, "a"), (2, "a")]


def test_rows_without_a_key_are_refused(on: Scenario) -> None:
    """A row of the target whose key is NULL stops the merge, and nothing is written."""
    on.execute(
        "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, code VARCHAR(20) UNIQUE)",
        "INSERT INTO item VALUES (1, 'a'), (2, NULL)",
    )

    with pytest.raises(TableError, match=r"item.*without a value in the key column 'code'"):
        on.sync("item", [(1, "b")], key=["code"])

    assert on.rows("item") == [(1, "a"), (2, None)]


def test_key_of_zero(on: Scenario) -> None:
    """A key of 0 is a normal value, also in a column whose numbers the database generates."""
    on.execute("CREATE TABLE item (id {AUTO} PRIMARY KEY, n INTEGER)")

    on.sync("item", [(0, 1), (7, 2)])

    assert on.rows("item") == [(0, 1), (7, 2)]


def test_numbers_given_out_by_the_database_follow(on: Scenario) -> None:
    """After rows with explicit keys, the database generates a higher key for the next row."""
    on.execute("CREATE TABLE item (id {AUTO} PRIMARY KEY, n INTEGER)")
    on.sync("item", [(5, 1), (7, 2)])

    on.execute("INSERT INTO item (n) VALUES (3)")

    assert on.rows("item")[-1] == (8, 3)


def test_columns_that_the_source_lacks_stay(on: Scenario) -> None:
    """A column that is not staged keeps its values on update and gets its default on insert."""
    on.execute(
        "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, n INTEGER, note VARCHAR(20) DEFAULT 'new', tag VARCHAR(5))",
        "INSERT INTO item VALUES (1, 1, 'mine', 'x'), (2, 2, 'kept', NULL)",
    )

    on.sync("item", [(1, 5), (2, 2), (3, 3)], columns=["id", "n"])

    assert on.rows("item") == [(1, 5, "mine", "x"), (2, 2, "kept", None), (3, 3, "new", None)]


def test_column_without_a_default_that_the_source_lacks_is_refused(on: Scenario) -> None:
    """A NOT NULL column without a default that the source does not send is an error that names it, and nothing is written."""
    on.execute(
        "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, n INTEGER, note VARCHAR(20) NOT NULL)",
        "INSERT INTO item VALUES (1, 1, 'mine')",
    )

    with pytest.raises(TableError, match=r"item.*'note' is NOT NULL without a default"):
        on.sync("item", [(1, 5), (3, 3)], columns=["id", "n"])

    assert on.rows("item") == [(1, 1, "mine")]


def test_columns_in_another_order(fruit: Scenario) -> None:
    """The source's columns may have another order than the target's."""
    fruit.sync("fruit", [("kiwi", 1), ("pear", 2)], columns=["name", "id"])

    assert fruit.rows("fruit") == [(1, "kiwi"), (2, "pear")]


def test_table_of_nothing_but_its_key(on: Scenario) -> None:
    """A table may have only key columns."""
    on.execute(
        "CREATE TABLE pair (a INTEGER NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (a, b))", "INSERT INTO pair VALUES (1, 1), (1, 2)"
    )

    assert on.sync("pair", [(1, 2), (2, 1)]).counts == MergeCounts(target_rows=2, inserted=1, updated=0, deleted=1)
    assert on.rows("pair") == [(1, 2), (2, 1)]


ODD = ["select", 'quote"d', "back`tick", "per%cent", "co:lon", "with space", "ünïcödé", "it's", "dot.ted", "%s"]


def test_odd_names(on: Scenario) -> None:
    """Tables and columns may have any names: reserved words, quotes, percent signs, other alphabets."""
    quote = on.database.quote
    with on.database.connect() as connection:
        columns = ", ".join(f"{quote(name)} VARCHAR(20)" for name in ODD[1:])
        for table in ODD:
            connection.exec_driver_sql(
                f"CREATE TABLE {quote(table)} ({quote(ODD[0])} INTEGER NOT NULL PRIMARY KEY, {columns}, UNIQUE ({quote(ODD[3])}))"
            )

    for table in ODD:
        before = [(number, *(f"{number}{name}" for name in ODD[1:])) for number in range(3)]
        after = [(1, *before[2][1:]), (2, *before[1][1:]), (3, *(None for _ in ODD[1:]))]
        assert on.sync(table, before).counts.inserted == 3
        counts = on.sync(table, after).counts
        assert (counts.inserted, counts.updated, counts.deleted) == (1, 2, 1), table
        assert on.rows(table) == sorted(after, key=repr)

    with on.database.connect() as connection:
        assert on.database.catalog.list_tables(connection) == sorted(ODD)


def test_unicode_and_control_characters(on: Scenario) -> None:
    """Text of any alphabet, quotes, backslashes, tabs and line ends arrives unchanged."""
    on.execute("CREATE TABLE note (id INTEGER NOT NULL PRIMARY KEY, body TEXT)")
    texts = [
        "é😀",
        "e\u0301",
        "\\N",
        "\\",
        "'",
        '"',
        "a\tb\nc\r\n",
        "\x01\x7f",
        "  ",
        "NULL",
        "%s %(x)s",
        "日本語",
        "|",
        "\ufeff",
    ]
    rows = [(number, text) for number, text in enumerate(texts)]

    on.sync("note", rows)

    assert on.rows("note") == sorted(rows, key=repr)
    assert on.sync("note", rows).counts.changes == 0
