"""If a key is only written differently, and the database calls both equal, the row stays and no action fires."""

from __future__ import annotations

import pytest

from airflow_provider_sync.databases.schema import Row
from tests.scenario import Scenario

KEYS = {
    "mysql": {
        "case": ("VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "ab", "AB"),
        "accent": ("VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "é", "e"),
        "trailing space": ("VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "ab", "ab "),
        "one character": ("CHAR(1) CHARACTER SET latin1 COLLATE latin1_swedish_ci", "a", "A"),
    },
    "sqlite": {"case": ("VARCHAR(20) COLLATE NOCASE", "ab", "AB"), "trailing space": ("TEXT COLLATE RTRIM", "ab", "ab  ")},
    "postgresql": {
        "case": ("citext", "ab", "AB"),
        "collation": ('text COLLATE "sync_caseless"', "ab", "aB"),
        "digits": ("numeric", "1.0", "1.00"),
    },
}


def prepare(on: Scenario) -> None:
    """Make what the types of keys need."""
    if on.dialect == "postgresql":
        on.execute(
            "CREATE EXTENSION IF NOT EXISTS citext",
            "CREATE COLLATION sync_caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        )


@pytest.mark.parametrize("form", ["case", "accent", "trailing space", "one character", "collation", "digits"])
def test_the_row_stays(on: Scenario, form: str) -> None:
    """The key is written as at the source, and columns that are not synced keep their values."""
    if form not in on.pick(KEYS):
        pytest.skip("no such keys here")
    prepare(on)
    sql_type, before, after = on.pick(KEYS)[form]
    on.execute(
        f"CREATE TABLE word (code {sql_type} NOT NULL PRIMARY KEY, n INTEGER, mine VARCHAR(9) DEFAULT 'none')",
        f"INSERT INTO word VALUES ('{before}', 1, 'kept')",
    )

    result = on.sync("word", [(after, 2)], columns=["code", "n"])

    assert on.rows("word") == [(after, 2, "kept")]
    assert (result.counts.inserted, result.counts.updated, result.counts.deleted) == (0, 1, 0)
    assert result.verified_rows
    assert on.sync("word", [(after, 2)], columns=["code", "n"]).counts.changes == 0


@pytest.mark.parametrize(("sql_type", "options"), [("", ""), ("ANY", " STRICT")])
def test_keys_of_any_type(sqlite_on: Scenario, sql_type: str, options: str) -> None:
    """In a key without a type on SQLite, 1 and 1.0 are one value, whose row stays, and '1' is another one."""
    sqlite_on.execute(
        f"CREATE TABLE word (code {sql_type} NOT NULL PRIMARY KEY, n INTEGER, mine TEXT DEFAULT 'none'){options}",
        "INSERT INTO word VALUES (1, 1, 'kept'), (2.0, 2, 'kept'), ('3', 3, 'kept')",
    )
    rows: list[Row] = [(1.0, 1), (2, 2), (3, 3), ("1", 4)]

    result = sqlite_on.sync("word", rows, columns=["code", "n"])

    assert (result.counts.inserted, result.counts.updated, result.counts.deleted) == (2, 2, 1)
    assert sqlite_on.scalar("SELECT group_concat(quote(code) || mine, ' ') FROM (SELECT * FROM word ORDER BY n)") == (
        "1.0kept 2kept 3none '1'none"
    )
    assert sqlite_on.sync("word", rows, columns=["code", "n"]).counts.changes == 0


def test_many_keys_change_their_case(on: Scenario) -> None:
    """Rows are renamed, updated, deleted and inserted, with unique values that move between them."""
    prepare(on)
    sql_type, _, _ = on.pick(KEYS)["case"]
    on.execute(f"CREATE TABLE word (code {sql_type} NOT NULL PRIMARY KEY, n INTEGER NOT NULL UNIQUE)")
    on.sync("word", [("a", 1), ("b", 2), ("c", 3), ("d", 4)])

    result = on.sync("word", [("A", 2), ("B", 1), ("c", 4), ("e", 3)])

    assert on.rows("word") == [("A", 2), ("B", 1), ("c", 4), ("e", 3)]
    assert (result.counts.inserted, result.counts.updated, result.counts.deleted) == (1, 3, 1)


def test_children_keep_their_parent(on: Scenario) -> None:
    """Nothing cascades to rows that refer to a key whose case changes."""
    prepare(on)
    sql_type, _, _ = on.pick(KEYS)["case"]
    on.execute(
        f"CREATE TABLE parent (code {sql_type} NOT NULL PRIMARY KEY, v INTEGER)",
        f"CREATE TABLE child (id INTEGER NOT NULL PRIMARY KEY, code {sql_type},"
        " FOREIGN KEY (code) REFERENCES parent (code) ON DELETE CASCADE)",
        "INSERT INTO parent VALUES ('ab', 1), ('cd', 2)",
        "INSERT INTO child VALUES (1, 'ab'), (2, 'cd')",
    )

    result = on.sync("parent", [("AB", 1), ("cd", 2)])

    assert on.rows("parent") == [("AB", 1), ("cd", 2)]
    assert on.rows("child") == [(1, "ab"), (2, "cd")]
    assert result.orphans == {}
