"""Tables are written in the order of their foreign keys."""

from __future__ import annotations

from itertools import permutations

import pytest

from airflow_provider_sync.merge.foreign_key_order import parents_first
from tests.scenario import Scenario


def order(on: Scenario, *names: str) -> list[str]:
    """Sort tables by name."""
    with on.database.connect() as connection:
        tables = [on.database.catalog.describe(connection, name) for name in names]
        return [table.name for table in parents_first(connection, tables, lambda table: table)]


@pytest.fixture
def shop(on: Scenario) -> Scenario:
    """Give a database with three tables that refer to each other in a row, and one to itself."""
    on.execute(
        "CREATE TABLE a (id INTEGER NOT NULL PRIMARY KEY)",
        "CREATE TABLE b (id INTEGER NOT NULL PRIMARY KEY, a INTEGER, FOREIGN KEY (a) REFERENCES a (id))",
        "CREATE TABLE c (id INTEGER NOT NULL PRIMARY KEY, b INTEGER, up INTEGER,"
        " FOREIGN KEY (b) REFERENCES b (id), FOREIGN KEY (up) REFERENCES c (id))",
        "CREATE TABLE free (id INTEGER NOT NULL PRIMARY KEY)",
    )
    return on


def test_parents_come_first(shop: Scenario) -> None:
    """In any given order, a table comes after the tables to which it refers."""
    for names in permutations("abc"):
        assert order(shop, *names) == ["a", "b", "c"]


def test_tables_that_are_not_given_do_not_count(shop: Scenario) -> None:
    """Tables outside the merge are not in the order."""
    assert sorted(order(shop, "free", "c", "a")) == ["a", "c", "free"]
    assert order(shop, "free") == ["free"]


def test_a_ring_leaves_the_order_of_others_alone(on: Scenario) -> None:
    """Tables outside of a ring come after the tables to which they refer."""
    if on.dialect == "duckdb":
        pytest.skip("a foreign key names a table that is there, so no ring can be made")
    on.execute("CREATE TABLE parent (id INTEGER NOT NULL PRIMARY KEY)")
    on.execute("CREATE TABLE child (id INTEGER NOT NULL PRIMARY KEY, p INTEGER, FOREIGN KEY (p) REFERENCES parent (id))")
    if on.dialect == "sqlite":
        on.execute("CREATE TABLE a (id INTEGER NOT NULL PRIMARY KEY, b INTEGER REFERENCES b (id))")
        on.execute("CREATE TABLE b (id INTEGER NOT NULL PRIMARY KEY, a INTEGER REFERENCES a (id))")
    else:
        on.execute("CREATE TABLE a (id INTEGER NOT NULL PRIMARY KEY, b INTEGER)")
        on.execute("CREATE TABLE b (id INTEGER NOT NULL PRIMARY KEY, a INTEGER, FOREIGN KEY (a) REFERENCES a (id))")
        on.execute("ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b (id)")
    for names in (("child", "b", "parent", "a"), ("a", "b", "child", "parent")):
        found = order(on, *names)

        assert found.index("parent") < found.index("child")
        assert sorted(found) == sorted(names)
