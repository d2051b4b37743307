"""Tables of MySQL and MariaDB that are described together, beside what else a database has."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.mysql.database import MySQLDatabase
from airflow_provider_sync.exceptions import TableBusyError
from tests.scenario import Scenario


def test_beside_what_is_broken(on: Scenario) -> None:
    """A view whose table is gone does not stop the description of others, and is described separately."""
    on.execute(
        "CREATE TABLE a (id INT NOT NULL PRIMARY KEY)",
        "CREATE TABLE b (id INT NOT NULL PRIMARY KEY)",
        "CREATE TABLE gone (id INT)",
        "CREATE VIEW broken AS SELECT * FROM gone",
        "DROP TABLE gone",
    )
    with on.database.connect() as connection:
        found = on.database.catalog.describe_many(connection, ["a", "b", "broken"], views=True)
        assert found == {name: on.database.catalog.describe(connection, name) for name in ("a", "b")}


def test_names_with_their_database(on: Scenario) -> None:
    """Tables that are named with their database are described together, and keep the name."""
    on.execute(*(f"CREATE TABLE {name} (id INT NOT NULL PRIMARY KEY)" for name in ("a", "b")))
    names = [f"{on.database.engine.url.database}.{name}" for name in ("a", "b")]
    with on.database.connect() as connection:
        found = on.database.catalog.describe_many(connection, [*names, "nowhere.c", "nowhere.d"])
        assert found == {name: on.database.catalog.describe(connection, name) for name in names}
        assert on.database.catalog.estimated_rows(connection, list(found.values())) == [0, 0]


def test_names_that_differ_in_case(on: Scenario) -> None:
    """On a case-sensitive server, names that differ in case are different tables."""
    if on.scalar("SELECT @@lower_case_table_names"):
        pytest.skip("the server does not tell them apart")
    on.execute(
        "CREATE TABLE item (id INT NOT NULL PRIMARY KEY)",
        "CREATE TABLE Item (id INT, up INT, KEY (id), FOREIGN KEY (up) REFERENCES item (id), UNIQUE (id, up))",
        "CREATE TABLE other (id INT NOT NULL PRIMARY KEY)",
    )
    with on.database.connect() as connection:
        found = on.database.catalog.describe_many(connection, ["item", "Item", "other", "OTHER"])
        assert {name: (table.name, len(table.columns), table.foreign_keys) for name, table in found.items()} == {
            "item": ("item", 1, True),
            "Item": ("Item", 2, True),
            "other": ("other", 1, False),
        }


def test_a_few_of_many_tables(mariadb_url: str) -> None:
    """A few tables of many are described one by one, because MariaDB would open each table."""
    on = Scenario(MySQLDatabase(open_engine(mariadb_url)))
    on.execute(*(f"CREATE TABLE t{number} (id INT NOT NULL PRIMARY KEY)" for number in range(30)))
    statements: list[str] = []
    event.listen(on.database.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    with on.database.connect() as connection:
        statements.clear()
        assert on.database.catalog.describe_many(connection, ["t1", "t2"]) == {}
        assert not any("information_schema.COLUMNS" in statement for statement in statements)
        assert set(on.database.catalog.describe_many(connection, ["t1", "t2", "t3", "t4"])) == {"t1", "t2", "t3", "t4"}
    on.database.engine.dispose()


def test_locks_of_many_tables(on: Scenario) -> None:
    """A table has one lock under any of its names, before and after it exists, alone or with others."""
    on.execute("CREATE TABLE item (id INT NOT NULL PRIMARY KEY)")
    database = on.database.engine.url.database
    names = ["item", "made", f"{database}.other", "a.b.c"]
    with on.database.connect() as connection:
        together = on.database.catalog.places_of(connection, names)
        assert together == [place for name in names for place in on.database.catalog.places_of(connection, [name])]
        assert together[:3] == [(database, name) for name in ("item", "made", "other")]
    with (
        on.database.exclusive(names, timeout=0),
        pytest.raises(TableBusyError),
        on.database.exclusive([f"{database}.made"], timeout=0),
    ):
        pytest.fail("two syncs hold one lock")
