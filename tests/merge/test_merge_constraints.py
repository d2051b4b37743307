"""Foreign keys, triggers and generated columns of a target do not disturb the merge, and reports tell of them."""

from __future__ import annotations

import pytest

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import TableError
from tests.scenario import Scenario

PARENT = "CREATE TABLE parent (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(20))"
CHILD = (
    "CREATE TABLE child (id INTEGER NOT NULL PRIMARY KEY, parent_id INTEGER,"
    " CONSTRAINT child_parent FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE)"
)


@pytest.fixture
def family(on: Scenario) -> Scenario:
    """Give a database with a parent and a child table."""
    if on.dialect == "duckdb":
        pytest.skip("foreign keys stay on there, and have no actions: tests/databases/duckdb/test_foreign_keys.py")
    on.execute(PARENT, CHILD, "INSERT INTO parent VALUES (1, 'a'), (2, 'b')", "INSERT INTO child VALUES (10, 1), (20, 2)")
    return on


def test_deleted_parents_leave_orphans_that_are_counted(family: Scenario) -> None:
    """Foreign keys do not stop the merge and do not cascade; rows without a parent are counted."""
    result = family.sync("parent", [(1, "a")])

    assert family.rows("parent") == [(1, "a")]
    assert family.rows("child") == [(10, 1), (20, 2)]
    assert list(result.orphans.values()) == [1]
    assert next(iter(result.orphans)).startswith("child.")


def test_children_without_parents_are_counted(family: Scenario) -> None:
    """Rows that arrive without their parent are merged and counted."""
    result = family.sync("child", [(10, 1), (30, 7), (40, 8), (50, None)])

    assert family.rows("child") == [(10, 1), (30, 7), (40, 8), (50, None)]
    assert list(result.orphans.values()) == [2]


def test_updated_parents_do_not_cascade(family: Scenario) -> None:
    """An updated row keeps its identity, so nothing cascades to rows that refer to it."""
    result = family.sync("parent", [(1, "x"), (2, "y")])

    assert family.rows("child") == [(10, 1), (20, 2)]
    assert result.orphans == {}


@pytest.mark.parametrize("order", [("parent", "child"), ("child", "parent")])
def test_parents_and_children_arrive_together(family: Scenario, order: tuple[str, str]) -> None:
    """Tables that refer to each other can be merged together in any order."""
    rows = {"parent": [(2, "b"), (3, "c")], "child": [(20, 3), (30, 3), (40, 2)]}

    results = family.sync_all([(name, rows[name], (), ()) for name in order])

    assert family.rows("parent") == rows["parent"]
    assert family.rows("child") == rows["child"]
    assert [result.orphans for result in results] == [{}, {}]


def test_tables_that_refer_to_each_other(on: Scenario) -> None:
    """Foreign keys may form a ring, and a table may refer to itself."""
    on.execute("CREATE TABLE tree (id INTEGER NOT NULL PRIMARY KEY, up INTEGER, FOREIGN KEY (up) REFERENCES tree (id))")
    if on.dialect == "duckdb":
        pytest.skip("foreign keys cannot form a ring there")
    if on.dialect == "sqlite":  # a foreign key can come before its table there, but not after its own
        on.execute("CREATE TABLE a (id INTEGER NOT NULL PRIMARY KEY, b INTEGER REFERENCES b (id))")
        on.execute("CREATE TABLE b (id INTEGER NOT NULL PRIMARY KEY, a INTEGER REFERENCES a (id))")
    else:
        on.execute("CREATE TABLE a (id INTEGER NOT NULL PRIMARY KEY, b INTEGER)")
        on.execute("CREATE TABLE b (id INTEGER NOT NULL PRIMARY KEY, a INTEGER, FOREIGN KEY (a) REFERENCES a (id))")
        on.execute("ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b (id)")

    rows = {"a": [(1, 1)], "b": [(1, 1)], "tree": [(1, 2), (2, None), (3, 1)]}
    on.sync_all([(name, rows[name], (), ()) for name in rows])
    results = on.sync_all([("a", [(2, 2)], (), ()), ("b", [(2, 2)], (), ()), ("tree", [(3, 3)], (), ())])

    assert (on.rows("a"), on.rows("b"), on.rows("tree")) == ([(2, 2)], [(2, 2)], [(3, 3)])
    assert all(result.orphans == {} for result in results)


def test_foreign_keys_are_checked_again_afterwards(family: Scenario) -> None:
    """After the merge, also a failed one, the connection checks foreign keys as before."""
    with family.database.connect() as connection:
        if family.dialect == "sqlite":
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        family.sync("parent", [(1, "a"), (2, "b")], connection=connection)
        with pytest.raises(TableError):
            family.sync("parent", [(1, "x")], connection=connection, verify=_refuse)
        with pytest.raises(TableError), family.database.translate_errors():
            connection.exec_driver_sql("INSERT INTO child VALUES (99, 99)")

    assert family.rows("child") == [(10, 1), (20, 2)]


def _refuse(*_: object) -> None:
    raise TableError("no")


TRIGGERS = {
    "mysql": ("CREATE TRIGGER audit AFTER UPDATE ON item FOR EACH ROW INSERT INTO log VALUES (NEW.id)",),
    "sqlite": ("CREATE TRIGGER audit AFTER UPDATE ON item FOR EACH ROW BEGIN INSERT INTO log VALUES (NEW.id); END",),
    "postgresql": (
        "CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (NEW.id); RETURN NEW; END'",
        "CREATE TRIGGER audit AFTER UPDATE ON item FOR EACH ROW EXECUTE FUNCTION audit()",
    ),
}


def test_triggers_fire_and_are_told(on: Scenario) -> None:
    """Triggers fire only for rows that change, and one warning names them."""
    on.execute(
        "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, n INTEGER)", "CREATE TABLE log (id INTEGER NOT NULL PRIMARY KEY)"
    )
    on.execute("INSERT INTO item VALUES (1, 1), (2, 2), (3, 3)", *on.pick(TRIGGERS))

    result = on.sync("item", [(1, 1), (2, 9), (3, 3)])

    assert on.rows("log") == [(2,)]
    assert len(result.warnings) == 1
    assert "audit" in result.warnings[0]


def test_rules_are_told(postgresql_url: str) -> None:
    """A rule of PostgreSQL acts on rows that change, like a trigger, and the same warning names it."""
    engine = open_engine(postgresql_url)
    on = Scenario(database_for(engine))
    try:
        on.execute(
            "CREATE TABLE item (id INT PRIMARY KEY, n INT)", "INSERT INTO item VALUES (1, 1), (2, 2)", "CREATE TABLE log (id INT)"
        )
        on.execute("CREATE RULE audit AS ON DELETE TO item DO ALSO INSERT INTO log VALUES (OLD.id)")

        result = on.sync("item", [(1, 1)])

        assert on.rows("log") == [(2,)]
        assert [warning for warning in result.warnings if "rule audit" in warning]
        assert on.sync("item", [(1, 1)]).warnings == ()
    finally:
        engine.dispose()


def test_triggers_are_not_told_when_nothing_changes(on: Scenario) -> None:
    """Without a change, there is no warning about triggers."""
    on.execute(
        "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, n INTEGER)", "CREATE TABLE log (id INTEGER NOT NULL PRIMARY KEY)"
    )
    on.execute("INSERT INTO item VALUES (1, 1)", *on.pick(TRIGGERS))

    assert on.sync("item", [(1, 1)]).warnings == ()


MANGLING = {
    "mysql": ("CREATE TRIGGER audit BEFORE INSERT ON item FOR EACH ROW SET NEW.n = 0",),
    "sqlite": ("CREATE TRIGGER audit AFTER INSERT ON item FOR EACH ROW BEGIN UPDATE item SET n = 0 WHERE id = NEW.id; END",),
    "postgresql": (
        "CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := 0; RETURN NEW; END'",
        "CREATE TRIGGER audit BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION audit()",
    ),
}


def test_triggers_that_change_rows_are_found(on: Scenario) -> None:
    """A trigger that changes written rows fails the verification; the error names it, and nothing is written."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, n INTEGER)", *on.pick(MANGLING))

    with pytest.raises(TableError, match=r"'item'.*audit") as raised:
        on.sync("item", [(1, 1)])

    assert not raised.value.retryable
    assert on.rows("item") == []


GENERATED = "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, n INTEGER, twice INTEGER GENERATED ALWAYS AS (n * 2) {STORED})"


def test_generated_columns_are_never_written(on: Scenario) -> None:
    """A column that the target computes is not written if the source does not send it."""
    on.execute(GENERATED, "INSERT INTO item (id, n) VALUES (1, 1), (2, 2)")

    on.sync("item", [(1, 5), (3, 3)], columns=["id", "n"])

    assert on.rows("item") == [(1, 5, 10), (3, 3, 6)]


def test_generated_columns_are_compared(on: Scenario) -> None:
    """A column that the target computes and the source sends is compared: different values are a warning."""
    on.execute(GENERATED, "INSERT INTO item (id, n) VALUES (1, 1), (2, 2)")

    equal = on.sync("item", [(1, 5, 10), (3, 3, 6)], columns=["id", "n", "twice"])
    other = on.sync("item", [(1, 5, 10), (3, 3, 7)], columns=["id", "n", "twice"])

    assert on.rows("item") == [(1, 5, 10), (3, 3, 6)]
    assert (equal.verified_rows, equal.warnings) == (True, ())
    assert not other.verified_rows
    assert "twice" in other.warnings[0]
