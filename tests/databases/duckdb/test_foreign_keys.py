"""Foreign keys of a DuckDB target stay on: what can be merged under them, and what is refused."""

from __future__ import annotations

import pytest

from airflow_provider_sync.exceptions import TableError
from tests.scenario import Scenario


@pytest.fixture
def family(duckdb_on: Scenario) -> Scenario:
    """Give a database with a parent and a child table."""
    duckdb_on.execute(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, name VARCHAR)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent (id), n INTEGER)",
        "INSERT INTO parent VALUES (1, 'a'), (2, 'b')",
        "INSERT INTO child VALUES (10, 1, 0), (20, 2, 0)",
    )
    return duckdb_on


def test_families_grow_and_change_together(family: Scenario) -> None:
    """New parents with children, changed parents, and children that move to new parents arrive in one transaction."""
    parents = [(1, "x"), (2, "b"), (3, "c")]
    children = [(10, 3, 0), (20, 2, 5), (30, 3, 0), (40, None, 0)]

    results = family.sync_all([("child", children, (), ()), ("parent", parents, (), ())])

    assert (family.rows("parent"), family.rows("child")) == (parents, children)
    assert [result.orphans for result in results] == [{}, {}]


def test_parents_that_are_referred_to_stay(family: Scenario) -> None:
    """A parent cannot be deleted before or with its children; the error says what to do, and nothing is written."""
    for tables in ([("parent", [(1, "a")])], [("child", [(10, 1, 0)]), ("parent", [(1, "a")])]):
        with pytest.raises(TableError, match=r"'parent'.*single_transaction: false") as raised:
            family.sync_all([(name, rows, (), ()) for name, rows in tables])
        assert not raised.value.retryable
        assert family.rows("parent") == [(1, "a"), (2, "b")]
        assert family.rows("child") == [(10, 1, 0), (20, 2, 0)]


def test_families_shrink_one_after_the_other(family: Scenario) -> None:
    """After children are deleted in one transaction, their parents can be deleted in the next."""
    family.sync("child", [(10, 1, 0)])
    family.sync("parent", [(1, "a")])
    assert (family.rows("parent"), family.rows("child")) == ([(1, "a")], [(10, 1, 0)])


def test_children_without_a_parent_are_refused(family: Scenario) -> None:
    """A child without its parent is refused with the name of the table, and nothing is written."""
    with pytest.raises(TableError, match=r"'child'.*foreign key"):
        family.sync("child", [(10, 1, 0), (20, 2, 0), (30, 7, 0)])
    assert family.rows("child") == [(10, 1, 0), (20, 2, 0)]


def test_rows_of_a_tree_that_exchange_values_are_refused(duckdb_on: Scenario) -> None:
    """A referenced row cannot give up its unique value; the error says that a foreign key prevents it."""
    duckdb_on.execute(
        "CREATE TABLE page (id INTEGER PRIMARY KEY, up INTEGER REFERENCES page (id), slug VARCHAR NOT NULL UNIQUE)",
        "INSERT INTO page VALUES (1, NULL, 'home')",
        "INSERT INTO page VALUES (2, 1, 'shop')",
    )
    with pytest.raises(TableError, match="a foreign key allows no others"):
        duckdb_on.sync("page", [(1, None, "shop"), (2, 1, "home")])
    assert duckdb_on.rows("page") == [(1, None, "home"), (2, 1, "shop")]
