"""Values move under every kind of uniqueness: partial and expression indexes, generated columns, exclusion constraints."""

from __future__ import annotations

import pytest

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.databases.schema import Row
from airflow_provider_sync.exceptions import TableError
from tests.databases.plain_role import plain_role
from tests.releases.needs import needs
from tests.scenario import Scenario

FLAGS = "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, user_id INTEGER NOT NULL, flag SMALLINT NOT NULL, mine VARCHAR(9)"
"""Rows of which one for each user has a flag."""

FLAG_INDEXES = {
    "mysql": {
        "virtual column": (FLAGS + ", one INTEGER GENERATED ALWAYS AS (IF(flag = 1, user_id, NULL)) VIRTUAL, UNIQUE KEY (one))",),
        "stored column": (FLAGS + ", one INTEGER GENERATED ALWAYS AS (IF(flag = 1, user_id, NULL)) STORED, UNIQUE KEY (one))",),
        "expression": (FLAGS + ")", "CREATE UNIQUE INDEX one ON item ((IF(flag = 1, user_id, NULL)))"),
    },
    "sqlite": {
        "virtual column": (
            FLAGS + ", one INTEGER GENERATED ALWAYS AS (CASE WHEN flag = 1 THEN user_id END) VIRTUAL)",
            "CREATE UNIQUE INDEX one ON item (one)",
        ),
        "partial": (FLAGS + ")", "CREATE UNIQUE INDEX one ON item (user_id) WHERE flag = 1"),
        "expression": (FLAGS + ")", "CREATE UNIQUE INDEX one ON item (CASE WHEN flag = 1 THEN user_id END)"),
    },
    "postgresql": {
        "stored column": (FLAGS + ", one int GENERATED ALWAYS AS (CASE WHEN flag = 1 THEN user_id END) STORED UNIQUE)",),
        "partial": (FLAGS + ")", "CREATE UNIQUE INDEX one ON item (user_id) WHERE flag = 1"),
        "expression": (FLAGS + ")", "CREATE UNIQUE INDEX one ON item ((CASE WHEN flag = 1 THEN user_id END))"),
        "exclusion": (FLAGS + ", EXCLUDE (user_id WITH =) WHERE (flag = 1))",),
    },
    "duckdb": {
        "expression": (FLAGS + ")", "CREATE UNIQUE INDEX one ON item ((CASE WHEN flag = 1 THEN user_id END))"),
    },
}

FLAG_MOVES = {
    "up": ([(1, 7, 0), (2, 7, 1)], [(1, 7, 1), (2, 7, 0)]),
    "down": ([(1, 7, 1), (2, 7, 0)], [(1, 7, 0), (2, 7, 1)]),
    "to a new row": ([(1, 7, 1), (2, 7, 0)], [(1, 7, 0), (2, 7, 0), (3, 7, 1)]),
    "from a deleted row": ([(1, 7, 0), (2, 7, 1)], [(1, 7, 1)]),
    "between users": ([(1, 7, 1), (2, 8, 1), (3, 9, 1)], [(1, 8, 1), (2, 9, 1), (3, 7, 1)]),
}


@pytest.mark.parametrize("kind", ["virtual column", "stored column", "partial", "expression", "exclusion"])
def test_a_flag_moves(on: Scenario, kind: str) -> None:
    """The only flag of a user moves between rows in both directions, and columns that are not synced stay."""
    if kind not in FLAG_INDEXES[on.dialect]:
        pytest.skip("no such thing here")
    if kind == "expression" and "Maria" in str(on.scalar("SELECT VERSION()") if on.dialect == "mysql" else ""):
        pytest.skip("no indexes of expressions here")
    if kind == "exclusion":
        on.execute("CREATE EXTENSION btree_gist")
    on.execute(*FLAG_INDEXES[on.dialect][kind])
    for before, after in FLAG_MOVES.values():
        on.execute("DELETE FROM item", *(f"INSERT INTO item (id, user_id, flag, mine) VALUES {(*row, 'kept')}" for row in before))

        on.sync("item", after, columns=["id", "user_id", "flag"])

        kept = {row[0] for row in before}
        assert on.rows("item", "id", "user_id", "flag", "mine") == [(*row, "kept" if row[0] in kept else None) for row in after]
        assert on.sync("item", after, columns=["id", "user_id", "flag"]).counts.changes == 0


ORDERS: dict[str, tuple[list[str], list[str]]] = {
    "swap": (["a@x", "b@x"], ["b@x", "a@x"]),
    "rotation": (["a@x", "b@x", "c@x"], ["b@x", "c@x", "a@x"]),
    "chain up": (["a@x", "b@x", "c@x"], ["b@x", "c@x", "d@x"]),
    "chain down": (["b@x", "c@x", "d@x"], ["a@x", "b@x", "c@x"]),
}
LOWER = {
    "mysql": "CREATE UNIQUE INDEX e ON item ((LOWER(email)))",
    "sqlite": "CREATE UNIQUE INDEX e ON item (LOWER(email))",
    "postgresql": "CREATE UNIQUE INDEX e ON item (lower(email))",
    "duckdb": "CREATE UNIQUE INDEX e ON item ((lower(email)))",
}


def _rows(values: list[str]) -> list[Row]:
    return [(number, value) for number, value in enumerate(values, 1)]


def test_values_of_an_expression_move(on: Scenario) -> None:
    """Values under a unique index of an expression can be swapped and rotated."""
    if "Maria" in str(on.scalar("SELECT VERSION()") if on.dialect == "mysql" else ""):
        on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, email TEXT NOT NULL, UNIQUE (email))")
    else:
        on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, email VARCHAR(99) NOT NULL)", LOWER[on.dialect])
    for before, after in ORDERS.values():
        on.execute("DELETE FROM item")
        on.sync("item", _rows(before))
        on.sync("item", _rows(after))

        assert on.rows("item") == _rows(after)


def test_rows_keep_their_place(sqlite_on: Scenario) -> None:
    """On SQLite, rows that are deleted and inserted again keep their rowid, which orders them in version 1."""
    sqlite_on.execute("CREATE TABLE item (id VARCHAR(9) NOT NULL PRIMARY KEY, email TEXT NOT NULL)", LOWER["sqlite"])
    sqlite_on.execute("INSERT INTO item VALUES ('b', 'x'), ('a', 'y'), ('c', 'z')")

    sqlite_on.sync("item", [("a", "x"), ("b", "y"), ("c", "z")])

    assert sqlite_on.rows("item") == [("a", "x"), ("b", "y"), ("c", "z")]
    assert sqlite_on.scalar("SELECT group_concat(id, '') FROM (SELECT id FROM item ORDER BY rowid)") == "bac"


def test_prefixes_move(on: Scenario) -> None:
    """Values move under a unique key over a prefix of a text, too."""
    if on.dialect != "mysql":
        pytest.skip("no such keys here")
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, email VARCHAR(99) NOT NULL, UNIQUE KEY (email(1)))")
    for before, after in ORDERS.values():
        on.execute("DELETE FROM item")
        on.sync("item", _rows(before))
        on.sync("item", _rows(after))

        assert on.rows("item") == _rows(after)


def test_values_that_a_check_allows_move(on: Scenario) -> None:
    """Values can be swapped even if a CHECK allows no other values."""
    if on.dialect == "duckdb":
        pytest.skip("a placeholder that is refused ends the transaction there")
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, email VARCHAR(9) NOT NULL UNIQUE CHECK (email LIKE '_@x'))")
    for before, after in ORDERS.values():
        on.execute("DELETE FROM item")
        on.sync("item", _rows(before))
        on.sync("item", _rows(after))

        assert on.rows("item") == _rows(after)


def test_bookings_exchange_their_times(postgresql_on: Scenario) -> None:
    """Values under an exclusion constraint can be swapped."""
    postgresql_on.execute(
        "CREATE EXTENSION btree_gist",
        "CREATE TABLE b (id int PRIMARY KEY, room int, during int4range, EXCLUDE USING gist (room WITH =, during WITH &&))",
        "INSERT INTO b VALUES (1, 1, '[1,5)'), (2, 1, '[5,9)'), (3, 2, '[1,9)')",
    )
    after = [(1, 1, "[4,9)"), (2, 1, "[1,4)"), (3, 2, "[1,9)")]

    postgresql_on.sync("b", after)

    assert postgresql_on.rows("b") == after
    with pytest.raises(TableError, match="b_room_during_excl"):
        postgresql_on.sync("b", [(1, 1, "[1,9)"), (2, 1, "[1,4)"), (3, 2, "[1,9)")])
    assert postgresql_on.rows("b") == after


def test_nulls_that_are_not_distinct_move(postgresql_on: Scenario) -> None:
    """The only NULL that a key allows moves between rows."""
    with postgresql_on.database.connect() as connection:
        needs(connection, "postgresql", (15,), "NULLS NOT DISTINCT")
    postgresql_on.execute(
        "CREATE TABLE item (id int PRIMARY KEY, a int, b int NOT NULL, UNIQUE NULLS NOT DISTINCT (a, b))",
        "INSERT INTO item VALUES (1, NULL, 1), (2, 5, 1), (3, 6, 1)",
    )
    after = [(1, 5, 1), (2, 6, 1), (3, None, 1)]

    postgresql_on.sync("item", after)

    assert postgresql_on.rows("item") == after


AUDIT = {
    "mysql": ("CREATE TRIGGER audit AFTER DELETE ON item FOR EACH ROW INSERT INTO gone VALUES (OLD.id)",),
    "sqlite": ("CREATE TRIGGER audit AFTER DELETE ON item BEGIN INSERT INTO gone VALUES (OLD.id); END",),
    "postgresql": (
        "CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO gone VALUES (OLD.id); RETURN NULL; END'",
        "CREATE TRIGGER audit AFTER DELETE ON item FOR EACH ROW EXECUTE FUNCTION audit()",
    ),
}


def test_values_that_nothing_can_stand_for(on: Scenario) -> None:
    """A swap that would fire a trigger, or for which a CHECK allows no placeholder, is refused with what to do."""
    on.execute(
        "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, email VARCHAR(9) NOT NULL UNIQUE CHECK (email LIKE '_@x'))",
        "CREATE TABLE gone (id INTEGER)",
        "INSERT INTO item VALUES (1, 'a@x'), (2, 'b@x')",
        *on.pick(AUDIT),
    )

    with pytest.raises(TableError, match="Drop the key or that constraint for one sync, or allow NULL"):
        on.sync("item", [(1, "b@x"), (2, "a@x")])

    assert on.rows("item") == [(1, "a@x"), (2, "b@x")]
    assert on.rows("gone") == []


def test_rows_with_triggers_are_updated_one_by_one(on: Scenario) -> None:
    """If deleting would fire a trigger, rows are updated one by one or get placeholders, and none is deleted."""
    audit = on.pick(AUDIT)
    kind = "partial" if on.dialect != "mysql" else "virtual column"
    on.execute(*FLAG_INDEXES[on.dialect][kind], "CREATE TABLE gone (id INTEGER)", *audit)
    for name, (before, after) in FLAG_MOVES.items():
        if len(after) < len(before):
            continue
        on.execute("DELETE FROM item", "DELETE FROM gone")
        on.execute(*(f"INSERT INTO item (id, user_id, flag, mine) VALUES {(*row, 'kept')}" for row in before))

        on.sync("item", after, columns=["id", "user_id", "flag"])

        assert on.rows("item", "id", "user_id", "flag") == after, name
        assert on.rows("gone") == []


def test_rows_that_others_refer_to_exchange_values(postgresql_url: str) -> None:
    """Rows with children swap values and keep their children, even if the role cannot switch foreign keys off."""
    with plain_role(postgresql_url) as url:
        engines = [open_engine(postgresql_url), open_engine(url)]
        owner, plain = (Scenario(database_for(engine)) for engine in engines)
        owner.execute(
            "CREATE TABLE item (id int PRIMARY KEY, email text NOT NULL)",
            LOWER["postgresql"],
            "INSERT INTO item VALUES (1, 'a@x'), (2, 'b@x'), (3, 'c@x')",
            "CREATE TABLE note (id int PRIMARY KEY, item_id int REFERENCES item ON DELETE CASCADE)",
            "INSERT INTO note VALUES (10, 1), (20, 2), (30, 3)",
        )

        plain.sync("item", [(1, "b@x"), (2, "a@x"), (3, "C@x")])

        assert owner.rows("item") == [(1, "b@x"), (2, "a@x"), (3, "C@x")]
        assert owner.rows("note") == [(10, 1), (20, 2), (30, 3)]
        for engine in engines:
            engine.dispose()
