"""What breaks when a table is dropped is found on every engine."""

from __future__ import annotations

import pytest

from airflow_provider_sync.databases.dependents import Dependent
from airflow_provider_sync.exceptions import SyncError
from tests.scenario import Scenario


def dependents_of(on: Scenario, name: str) -> list[tuple[str, str]]:
    """Return kind and name of what needs a table."""
    with on.database.translate_errors(), on.database.connect() as connection:
        table = on.database.catalog.describe(connection, name)
        return [(found.kind, found.name) for found in on.database.catalog.find_dependents(connection, table)]


def test_foreign_keys_and_views_count(on: Scenario) -> None:
    """Tables that refer to a table, and views that read it, need it; the table itself and its parents do not."""
    on.execute(
        "CREATE TABLE parent (id INTEGER NOT NULL PRIMARY KEY, up INTEGER, FOREIGN KEY (up) REFERENCES parent (id))",
        "CREATE TABLE child (id INTEGER NOT NULL PRIMARY KEY, up INTEGER, FOREIGN KEY (up) REFERENCES parent (id))",
        "CREATE TABLE parents (id INTEGER NOT NULL PRIMARY KEY)",
        "CREATE VIEW seen AS SELECT id AS parents FROM parent WHERE id IN (SELECT up FROM child)",
        "CREATE VIEW other AS SELECT id AS parent FROM parents",
    )
    before = on.names()

    assert dependents_of(on, "parent") == [("table", "child"), ("view", "seen")]
    assert dependents_of(on, "child") == [("view", "seen")]
    assert dependents_of(on, "parents") == [("view", "other")]
    assert on.names() == before
    assert str(Dependent("view", "seen")) == "view 'seen'"


def test_nothing_needs_most_tables(on: Scenario) -> None:
    """An index, a unique key and a name with special characters do not need the table."""
    name = on.database.undoubled(on.database.quote("a % b"))
    on.execute(f"CREATE TABLE {name} (id INTEGER NOT NULL PRIMARY KEY, n INTEGER, UNIQUE (n))")

    assert dependents_of(on, "a % b") == []


def test_triggers_of_other_tables_count(on: Scenario) -> None:
    """A trigger of another table that writes to the table needs it; its own trigger does not."""
    create = on.pick(
        {
            "mysql": "CREATE TRIGGER {name} AFTER INSERT ON {table} FOR EACH ROW INSERT INTO log VALUES (NEW.id)",
            "sqlite": "CREATE TRIGGER {name} AFTER INSERT ON {table} BEGIN INSERT INTO log VALUES (NEW.id); END",
        }
    )
    on.execute(
        "CREATE TABLE log (id INTEGER)",
        "CREATE TABLE item (id INTEGER)",
        create.format(name="noting", table="item"),
        "CREATE TABLE quiet (id INTEGER)",
    )

    assert dependents_of(on, "log") == [("trigger", "noting")]
    assert dependents_of(on, "item") == []
    assert dependents_of(on, "quiet") == []


def test_other_schemas_count(on: Scenario) -> None:
    """A view of another schema is named with the schema."""
    on.pick({"postgresql": True, "duckdb": True})
    on.execute(
        "CREATE SCHEMA audit",
        "CREATE TABLE item (id INTEGER)",
        "CREATE TABLE audit.item (id INTEGER)",
        "CREATE VIEW audit.items AS SELECT id FROM audit.item",
        "CREATE VIEW audit.more AS SELECT id FROM main.item".replace("main", on.pick({"postgresql": "public", "duckdb": "main"})),
    )

    assert dependents_of(on, "item") == [("view", "audit.more")]
    assert dependents_of(on, "audit.item") == [("view", "audit.items")]


def test_a_broken_view_of_sqlite_is_an_error(sqlite_on: Scenario) -> None:
    """If a view cannot be read, SQLite cannot find its tables: the error names the view."""
    sqlite_on.execute("CREATE TABLE item (id INTEGER)", "CREATE VIEW broken AS SELECT missing FROM item")

    with pytest.raises(SyncError, match="broken"):
        dependents_of(sqlite_on, "item")

    assert "item" in sqlite_on.names()


def test_partitions_of_postgresql(postgresql_on: Scenario) -> None:
    """Partitions are dropped with their table, and what reads one of them needs it."""
    postgresql_on.execute(
        "CREATE TABLE cut (id INTEGER PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE cut_1 PARTITION OF cut FOR VALUES FROM (0) TO (10)",
        "CREATE MATERIALIZED VIEW seen AS SELECT id FROM cut_1",
    )

    assert dependents_of(postgresql_on, "cut") == [("view", "seen")]


def test_a_table_that_inherits_in_postgresql(postgresql_on: Scenario) -> None:
    """The parent of an inheriting table shows its rows, so it needs the table."""
    postgresql_on.execute(
        "CREATE TABLE event (id INTEGER NOT NULL PRIMARY KEY)",
        "CREATE TABLE visit (PRIMARY KEY (id)) INHERITS (event)",
    )

    assert dependents_of(postgresql_on, "visit") == [("table", "event")]
