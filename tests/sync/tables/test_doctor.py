"""Why tables differ although they look alike, on real databases."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.exceptions import ConfigurationError, MissingTableError
from airflow_provider_sync.sync.tables.doctor import Diagnosis, diagnose_table
from tests.sync.link import Link


def diagnose(link: Link, name: str, options: dict[str, Any] | None = None) -> Diagnosis:
    """Compare one table."""
    link.protocol = "2"
    with link.client(name) as client:
        return diagnose_table(client, table_from_options(name, options), link.target.database)


def test_every_column_is_explained_by_itself(into: Link) -> None:
    """Each different column has its own reason and samples; equal columns are not mentioned."""
    into.create(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, same VARCHAR(20), upper VARCHAR(20), blank VARCHAR(20), form VARCHAR(20),"
        " charset VARCHAR(20), hollow VARCHAR(20), zone {DATETIME},"
        " fraction {DATETIME}, ratio {DOUBLE}, rounded {DOUBLE}, json TEXT)"
    )
    statement = "INSERT INTO t VALUES ({0}, 'same', {1})"
    right = (
        "'abc', 'x', 'caf\u00e9', '\u00c4rger', NULL"
        ", '2024-02-29 12:00:00.000000', '2024-02-29 12:34:56.123456', 0.1, 0.30000000000000004"
    )
    wrong = (
        "'ABC', 'x ', 'cafe\u0301', '\u00c3\u201erger', ''"
        ", '2024-02-29 13:00:00.000000', '2024-02-29 12:34:56.000000', 0.10000000149011612, 0.3"
    )
    for number in range(1, 6):
        into.source.execute(statement.format(number, right + """, '{"a": 1}'"""))
        into.target.execute(statement.format(number, wrong + """, '{"a":1}'"""))
    found = diagnose(into, "t")
    reasons = {column.column: column.reason for column in found.columns}
    expected = {
        "upper": "case",
        "blank": "blanks",
        "form": "normal form",
        "charset": "character set",
        "hollow": "NULL against empty",
        "zone": "time zone: +01:00",
        "fraction": "fractions of a second",
        "ratio": "single precision",
        "rounded": "rounding",
        "json": "formatting of the JSON",
    }
    assert reasons.keys() == expected.keys()
    assert [name for name, words in expected.items() if words not in reasons[name]] == []
    upper = found.columns[0]
    assert (upper.rows, len(upper.samples)) == (5, 3)
    assert (upper.samples[0].source, upper.samples[0].target) == ("abc", "ABC")
    assert found.differs
    assert (found.missing, found.surplus) == (0, 0)


def test_equal_tables_cost_one_scan_and_say_nothing(into: Link) -> None:
    """Equal tables have no findings; a column that only the target has is noted as no difference."""
    into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9))", "INSERT INTO t VALUES (1, 'x')")
    into.target.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9), own VARCHAR(9))", "INSERT INTO t VALUES (1, 'x', 'y')"
    )
    found = diagnose(into, "t")
    assert not found.differs
    assert found.columns == ()
    assert "own" in found.notes[0]


def test_columns_that_are_missing_or_do_not_fit(into: Link) -> None:
    """A missing column and an unfitting type are reported, and the rest is compared."""
    into.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, gone VARCHAR(9), raw BLOB, a VARCHAR(9))",
        "INSERT INTO t VALUES (1, 'x', X'FF', 'y')",
    )
    into.target.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, raw INTEGER, a VARCHAR(9))", "INSERT INTO t VALUES (1, 7, 'Y')")
    found = diagnose(into, "t")
    reasons = {column.column: column.reason for column in found.columns}
    assert "has no column 'gone'" in reasons["gone"]
    assert "bytes" in reasons["raw"]
    assert reasons["a"] == "case"


def test_keys_that_are_nearly_equal(into: Link) -> None:
    """Rows whose keys differ only in trailing blanks are missing and surplus, with the reason."""
    into.create("CREATE TABLE t (code VARCHAR(9) PRIMARY KEY, v INTEGER)")
    into.source.execute("INSERT INTO t VALUES ('a', 1), ('b', 2), ('same', 3)")
    into.target.execute("INSERT INTO t VALUES ('A', 1), ('B', 2), ('same', 3)")
    found = diagnose(into, "t")
    assert (found.missing, found.surplus, found.keys, found.columns) == (2, 2, "case", ())


def test_renamed_columns_are_compared(into: Link) -> None:
    """Renames apply: a column is compared with its target column."""
    into.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9), b VARCHAR(9))", "INSERT INTO t VALUES (1, 'x', 'y')"
    )
    into.target.execute(
        "CREATE TABLE u (number INTEGER PRIMARY KEY, c VARCHAR(9), b VARCHAR(9))", "INSERT INTO u VALUES (1, 'X', 'y')"
    )
    found = diagnose(into, "t", {"table": "u", "renames": {"id": "number", "a": "c"}})
    assert [(column.column, column.reason) for column in found.columns] == [("a", "case")]


def test_a_target_that_a_run_would_make(same: Link) -> None:
    """A missing target differs, and a note says that a run makes it; without ``create_table`` the error says how to make it."""
    same.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    found = diagnose(same, "t", {"create_table": True})
    assert (found.target_missing, found.differs) == (True, True)
    assert found.notes == ("There is no table 't' in the target database yet. A run makes it (create_table is set).",)
    with pytest.raises(MissingTableError, match="create_table"):
        diagnose(same, "t", {})


def test_version_1_cannot_tell_columns_apart(same: Link) -> None:
    """With version 1, a table can only be found equal; if it differs, the error says what to do instead."""
    same.create("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    with same.client("t") as client:
        assert not diagnose_table(client, table_from_options("t", {}), same.target.database).differs
    same.source.execute("INSERT INTO t VALUES (1)")
    with same.client("t") as client, pytest.raises(ConfigurationError, match="Use 'diff'"):
        diagnose_table(client, table_from_options("t", {}), same.target.database)
