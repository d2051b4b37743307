"""Every engine describes tables in the same terms."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import event

from airflow_provider_sync.databases.schema import Kind
from airflow_provider_sync.exceptions import MissingTableError, TableError
from tests.scenario import Scenario


def test_columns_and_keys(on: Scenario) -> None:
    """Columns come in order with kind, size and nullability; keys in the order of their index."""
    on.execute(
        "CREATE TABLE item (name VARCHAR(30), id INTEGER NOT NULL, region VARCHAR(5) NOT NULL, price DECIMAL(12,2),"
        " twice INTEGER GENERATED ALWAYS AS (id * 2) {STORED}, data {BYTES}, day DATE,"
        " PRIMARY KEY (region, id), UNIQUE (name, price))"
    )

    table = on.describe("item")

    assert [column.name for column in table.columns] == ["name", "id", "region", "price", "twice", "data", "day"]
    assert [column.kind for column in table.columns] == [
        Kind.TEXT,
        Kind.INTEGER,
        Kind.TEXT,
        Kind.DECIMAL,
        Kind.INTEGER,
        Kind.BINARY,
        Kind.DATE,
    ]
    assert [column.nullable for column in table.columns] == [True, False, False, True, True, True, True]
    assert [column.generated for column in table.columns] == [False, False, False, False, True, False, False]
    assert [column.required for column in table.columns] == [False, True, True, False, False, False, False]
    assert table.column("name").length == (None if on.dialect == "duckdb" else 30)
    assert (table.column("price").precision, table.column("price").scale) == (12, 2)
    assert table.primary_key == ("region", "id")
    assert [key.columns for key in table.unique_keys] == [("name", "price")]
    assert table.unique_keys[0].nulls_distinct
    assert not table.foreign_keys
    assert table.triggers == ()


def test_a_column_with_a_default_is_not_required(on: Scenario) -> None:
    """A column with a default, or with generated numbers, need not be sent."""
    on.execute("CREATE TABLE item (id {AUTO} PRIMARY KEY, n INTEGER NOT NULL DEFAULT 7)")

    assert [column.required for column in on.describe("item").columns] == [False, False]


def test_foreign_keys_are_seen_from_both_sides(on: Scenario) -> None:
    """Both tables of a foreign key have it in their description."""
    on.execute(
        "CREATE TABLE parent (id INTEGER NOT NULL PRIMARY KEY)",
        "CREATE TABLE child (id INTEGER NOT NULL PRIMARY KEY, up INTEGER, FOREIGN KEY (up) REFERENCES parent (id))",
    )

    assert on.describe("parent").foreign_keys
    assert on.describe("child").foreign_keys


def test_missing_table(on: Scenario) -> None:
    """A missing table is an error that names it."""
    with pytest.raises(MissingTableError, match="nowhere"):
        on.describe("nowhere")
    with pytest.raises(MissingTableError, match=r"no\.where"):
        on.describe("no.where")


def test_views_are_refused(on: Scenario) -> None:
    """A view is an error that says what to name instead."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY)", "CREATE VIEW items AS SELECT * FROM item")

    with pytest.raises(TableError, match="items"):
        on.describe("items")


def test_lists_tables_without_views_and_staging_tables(on: Scenario) -> None:
    """The tables of a database are listed without views and staging tables, and views by themselves."""
    on.execute(
        "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY)",
        "CREATE TABLE b (id INTEGER NOT NULL PRIMARY KEY)",
        "CREATE TABLE _sync_0123456789abcdef_65000000 (id INTEGER NOT NULL PRIMARY KEY)",
        "CREATE VIEW items AS SELECT * FROM item",
    )

    with on.database.connect() as connection:
        assert on.database.catalog.list_tables(connection) == ["b", "item"]
        assert on.database.catalog.list_views(connection) == ["items"]


def test_unsendable_values_are_found(on: Scenario) -> None:
    """The first column with a value that JSON cannot carry is named; text in binary columns can be sent."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, a {BYTES}, b {BYTES})")
    on.sync("item", [(1, b"abc", None), (2, "é".encode(), b"")])
    table = on.describe("item")
    with on.database.snapshot() as connection:
        assert on.database.version1.find_unsendable(connection, table, table.columns) is None

    on.sync("item", [(1, b"abc", None), (2, b"a", b"\xff")])
    with on.database.snapshot() as connection:
        found = on.database.version1.find_unsendable(connection, table, table.columns)

    assert found is not None
    assert found.name == "b"


def test_many_are_described_as_each_by_itself(on: Scenario) -> None:
    """Tables described together are described like one by one; a view only on request."""
    on.execute(
        "CREATE TABLE parent (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(30), UNIQUE (name))",
        "CREATE TABLE child (id INTEGER NOT NULL, region VARCHAR(5) NOT NULL, price DECIMAL(12,2), day DATE, up INTEGER,"
        " PRIMARY KEY (region, id), FOREIGN KEY (up) REFERENCES parent (id))",
        "CREATE TABLE alone (id {AUTO} PRIMARY KEY, n INTEGER NOT NULL DEFAULT 7)",
        "CREATE TABLE keyless (twice INTEGER GENERATED ALWAYS AS (id * 2) {STORED}, id INTEGER, data {BYTES})",
        "CREATE VIEW items AS SELECT name FROM parent",
    )
    names = ["parent", "child", "alone", "keyless"]

    with on.database.connect() as connection, on.database.translate_errors():
        catalog = on.database.catalog
        described = catalog.describe_many(connection, [*names, "items", "nowhere", "no.where", "o'dd", "a.b.c"])
        with_views = catalog.describe_many(connection, [*names, "items"], views=True)
        one_by_one = {name: catalog.describe(connection, name) for name in names}
        view = catalog.describe(connection, "items", views=True)
        nothing = catalog.describe_many(connection, [])

    assert nothing == {}
    assert described == (one_by_one if on.dialect in ("mysql", "postgresql") else {})
    assert with_views == ({**one_by_one, "items": view} if on.dialect in ("mysql", "postgresql") else {})


def test_many_are_described_by_a_few_statements(on: Scenario) -> None:
    """Fifty tables take as many statements as five."""
    if on.dialect not in ("mysql", "postgresql"):
        pytest.skip("describes tables one by one")
    names = [f"item_{number}" for number in range(50)]
    on.execute(*(f"CREATE TABLE {name} (id INTEGER NOT NULL PRIMARY KEY)" for name in names))
    statements: list[str] = []
    record = lambda _connection, _cursor, statement, *_: statements.append(statement)  # noqa: E731
    event.listen(on.database.engine, "before_cursor_execute", record)
    counts = []
    with on.database.connect() as connection:
        for some in (names[:10], names):
            statements.clear()
            assert set(on.database.catalog.describe_many(connection, some)) == set(some)
            counts.append(len(statements))
    event.remove(on.database.engine, "before_cursor_execute", record)

    assert counts[0] == counts[1] <= 8


def test_estimated_rows(on: Scenario) -> None:
    """The estimated rows of tables come in order, and are unknown for missing tables."""
    on.execute("CREATE TABLE small (id INTEGER NOT NULL PRIMARY KEY)", "CREATE TABLE large (id INTEGER NOT NULL PRIMARY KEY)")
    on.execute("INSERT INTO small VALUES (1)", f"INSERT INTO large VALUES {', '.join(f'({key})' for key in range(2000))}")
    if on.dialect == "mysql":
        on.execute("ANALYZE TABLE small, large")
    elif on.dialect == "postgresql":
        on.execute("ANALYZE small", "ANALYZE large")
    large, small = on.describe("large"), on.describe("small")
    with on.database.connect() as connection:
        found = on.database.catalog.estimated_rows(connection, [large, msgspec.structs.replace(small, name="gone"), small])
    if on.dialect in ("mysql", "postgresql"):
        assert found[0] > 1000
        assert found[1] == 0
        assert found[2] < 10
    else:
        assert found == [0, 0, 0]
