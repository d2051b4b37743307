"""Tables that refer to each other in a ring, merged by a role that may not switch PostgreSQL's foreign keys off."""

from __future__ import annotations

import pytest

from airflow_provider_sync.exceptions import TableError
from tests.merge.conftest import Target


def test_tables_that_refer_to_each_other(target: Target) -> None:
    """The owner of tables that refer to each other in a ring can merge them, and the constraints exist afterwards."""
    target.owner.execute(
        "CREATE TABLE a (id int PRIMARY KEY, b int NOT NULL)",
        "CREATE TABLE b (id int PRIMARY KEY, a int NOT NULL REFERENCES a)",
        "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b",
    )
    role = target.plain.scalar("SELECT current_user")
    target.owner.execute(f"ALTER TABLE a OWNER TO {role}", f"ALTER TABLE b OWNER TO {role}")

    for rows in ({"a": [(1, 1), (2, 2)], "b": [(1, 1), (2, 2)]}, {"a": [(2, 3), (3, 3)], "b": [(3, 2)]}):
        target.plain.sync_all([(name, rows[name], (), ()) for name in rows])

        assert (target.owner.rows("a"), target.owner.rows("b")) == (rows["a"], rows["b"])
    count = (
        "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated AND conrelid IN ('a'::regclass, 'b'::regclass)"
    )
    assert target.owner.scalar(count) == 2
    with pytest.raises(TableError, match=r"a_b_fkey|b_a_fkey"):
        target.plain.sync_all([("a", [(2, 9), (3, 3)], (), ()), ("b", [(3, 2)], (), ())])
    assert target.owner.rows("a") == [(2, 3), (3, 3)]


def test_rings_of_tables_that_belong_to_others(target: Target) -> None:
    """If one column of a ring may be NULL, a role that is not the owner can merge its tables, too."""
    target.owner.execute(
        "CREATE TABLE department (id int PRIMARY KEY, manager int, name text)",
        "CREATE TABLE employee (id int PRIMARY KEY, department int NOT NULL REFERENCES department, name text)",
        "ALTER TABLE department ADD FOREIGN KEY (manager) REFERENCES employee",
    )

    for rows in (
        {"department": [(1, 10, "a"), (2, None, "b")], "employee": [(10, 1, "x"), (20, 2, "y")]},
        {"department": [(1, 30, "a"), (3, 40, "c")], "employee": [(10, 1, "x"), (30, 3, "new"), (40, 3, "too")]},
        {"department": [(3, 40, "c")], "employee": [(40, 3, "too")]},
    ):
        for names in (("department", "employee"), ("employee", "department")):
            target.plain.sync_all([(name, rows[name], (), ()) for name in names])

            for name in names:
                assert target.owner.rows(name) == rows[name]
    target.owner.execute("UPDATE department SET manager = NULL", "DELETE FROM employee", "DELETE FROM department")
    target.plain.sync_all([("employee", [(1, 1, "x")], (), ()), ("department", [(1, 1, "a")], (), ())])
    assert target.owner.rows("department") == [(1, 1, "a")]


UNIQUE = {
    "key": "ALTER TABLE page ADD UNIQUE (slug)",
    "expression": "CREATE UNIQUE INDEX ON page (lower(slug))",
    "beside the parent": "ALTER TABLE page ADD UNIQUE (slug, up)",
}


@pytest.mark.parametrize("unique", UNIQUE)
@pytest.mark.parametrize("action", ["CASCADE", pytest.param("SET NULL", marks=pytest.mark.slow)])
def test_a_new_row_takes_the_place_of_one_below_it(target: Target, action: str, unique: str) -> None:
    """A row may get a new parent in its own table that takes its unique value; columns that are not synced stay."""
    target.owner.execute(
        f"CREATE TABLE page (id int PRIMARY KEY, up int REFERENCES page ON DELETE {action}, slug text NOT NULL, mine text)",
        UNIQUE[unique],
        "INSERT INTO page VALUES (1, NULL, 'home', 'kept'), (2, 1, 'shop', 'kept'), (3, 2, 'sale', 'kept')",
    )
    rows = [(1, None, "home"), (2, 4, "old-shop"), (3, 5, "shop"), (4, 1, "shop2"), (5, 4, "sale")]

    target.plain.sync("page", rows, columns=["id", "up", "slug"])

    assert target.owner.rows("page", "id", "up", "slug") == rows
    assert target.owner.scalar("SELECT count(*) FROM page WHERE mine = 'kept'") == 3


def test_a_missing_parent_is_not_told_as_a_duplicate(target: Target) -> None:
    """A missing parent is the reported error, even if another row takes a unique value of the row."""
    target.owner.execute(
        "CREATE TABLE line (id int PRIMARY KEY, parent int NOT NULL REFERENCES parent, place int NOT NULL UNIQUE)",
        "INSERT INTO line VALUES (1, 1, 10)",
    )

    with pytest.raises(TableError, match="line_parent_fkey"):
        target.plain.sync("line", [(1, 99, 20), (2, 1, 10)])

    assert target.owner.rows("line") == [(1, 1, 10)]


EMAIL = {
    "key": "ALTER TABLE person ADD UNIQUE (email)",
    "beside another column": "ALTER TABLE person ADD UNIQUE (email, realm)",
    "two keys": "ALTER TABLE person ADD UNIQUE (email), ADD UNIQUE (realm)",
    "expression": "CREATE UNIQUE INDEX ON person (lower(email))",
    "partial": "CREATE UNIQUE INDEX ON person (email) WHERE realm > 0",
    "exclusion": "ALTER TABLE person ADD EXCLUDE (realm WITH =)",
}


@pytest.mark.parametrize("email", EMAIL)
@pytest.mark.parametrize("action", ["", "ON DELETE CASCADE ON UPDATE CASCADE"])
def test_a_new_parent_takes_the_unique_value_of_the_old_one(target: Target, email: str, action: str) -> None:
    """A parent that was made anew under another key takes its children with it, also if nothing else of its table changes."""
    target.owner.execute(
        "CREATE TABLE person (id int PRIMARY KEY, email varchar(50) NOT NULL, realm int NOT NULL)",
        f"CREATE TABLE invoice (id int PRIMARY KEY, person int NOT NULL REFERENCES person {action}, mine text)",
        EMAIL[email],
        "INSERT INTO person VALUES (1, 'a@x', 1), (2, 'b@x', 2), (3, 'c@x', 3)",
        "INSERT INTO invoice VALUES (10, 1, 'kept'), (20, 2, 'kept'), (21, 2, 'kept')",
    )
    for people, invoices in (
        ([(1, "a@x", 1), (3, "c@x", 3), (4, "b@x", 2)], [(10, 1), (20, 4), (21, 4)]),
        ([(1, "c@x", 3), (5, "b@x", 2), (6, "a@x", 1)], [(10, 6), (20, 5), (21, 5)]),
    ):
        target.plain.sync_all([("person", people, (), ()), ("invoice", invoices, ("id", "person"), ())])

        assert target.owner.rows("person") == people
        assert target.owner.rows("invoice", "id", "person") == invoices
    assert target.owner.scalar("SELECT count(*) FROM invoice WHERE mine = 'kept'") == 3


def test_values_that_other_rows_would_follow_are_not_parked(target: Target) -> None:
    """A unique value that rows of another table would follow by ON UPDATE CASCADE is no place for a placeholder."""
    target.owner.execute(
        "CREATE TABLE person (id int PRIMARY KEY, email varchar(50) NOT NULL UNIQUE)",
        "CREATE TABLE invoice (id int PRIMARY KEY, person int NOT NULL REFERENCES person)",
        "CREATE TABLE letter (email varchar(50) REFERENCES person (email) ON UPDATE CASCADE DEFERRABLE)",
        "INSERT INTO person VALUES (1, 'a@x'), (2, 'b@x')",
        "INSERT INTO invoice VALUES (10, 1), (20, 2)",
        "INSERT INTO letter VALUES ('b@x')",
    )

    with pytest.raises(TableError, match="person_email_key"):
        target.plain.sync_all([("person", [(1, "a@x"), (3, "b@x")], (), ()), ("invoice", [(10, 1), (20, 3)], (), ())])

    assert target.owner.rows("person") == [(1, "a@x"), (2, "b@x")]
    assert target.owner.scalar("SELECT email FROM letter") == "b@x"


@pytest.mark.parametrize("email", EMAIL)
def test_a_row_that_stays_takes_the_unique_value_of_a_parent_that_goes(target: Target, email: str) -> None:
    """Two parents may be merged into one, which takes the other's unique value and its children."""
    target.owner.execute(
        "CREATE TABLE person (id int PRIMARY KEY, email varchar(50) NOT NULL, realm int NOT NULL)",
        "CREATE TABLE invoice (id int PRIMARY KEY, person int NOT NULL REFERENCES person)",
        EMAIL[email],
        "INSERT INTO person VALUES (1, 'a@x', 1), (2, 'b@x', 2), (3, 'c@x', 3)",
        "INSERT INTO invoice VALUES (10, 1), (20, 2), (30, 3)",
    )

    people, invoices = [(1, "a@x", 1), (3, "b@x", 2), (4, "c@x", 3)], [(10, 1), (20, 3), (30, 4)]
    target.plain.sync_all([("person", people, (), ()), ("invoice", invoices, (), ())])

    assert (target.owner.rows("person"), target.owner.rows("invoice")) == (people, invoices)
