"""Names and widths of tables that are special to SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from tests.sync.link import Link, linked


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Link]:
    """Give two databases of SQLite."""
    with linked(f"sqlite:///{tmp_path / 'source.db'}", f"sqlite:///{tmp_path / 'target.db'}") as link:
        link.protocol = "2"
        yield link


def test_a_new_table_in_main(link: Link) -> None:
    """A new target with the schema main is created there, with its indexes and foreign keys."""
    link.source.execute(
        "CREATE TABLE p (id INTEGER PRIMARY KEY)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p (id), v TEXT)",
        "CREATE INDEX t_v ON t (v)",
        "INSERT INTO p VALUES (1)",
        "INSERT INTO t VALUES (1, 1, 'one')",
    )
    options = {name: {"table": f"main.{name}", "create_table": True, "create_indexes": True} for name in ("p", "t")}
    assert [report.status for report in link.sync("p", "t", options=options)] == ["changed", "changed"]
    assert link.target.names() == ["p", "t"]
    link.assert_equal("t")
    for found in ("pragma_index_list('t') WHERE name = 't_v'", "pragma_foreign_key_list('t') WHERE \"table\" = 'p'"):
        assert link.target.scalar(f"SELECT count(*) FROM {found}") == 1
    assert [report.status for report in link.sync("p", "t", options=options)] == ["unchanged", "unchanged"]


def test_two_names_of_one_new_table(link: Link) -> None:
    """With and without its schema, a new table is the same table."""
    link.source.execute(*(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY)" for name in ("a", "b")))
    options = {"a": {"table": "t", "create_table": True}, "b": {"table": "main.t", "create_table": True}}
    with pytest.raises(SyncFailed, match="are one table of the target"):
        link.sync("a", "b", options=options)
    assert link.target.names() == []


@pytest.mark.slow
def test_as_many_columns_as_there_may_be(link: Link) -> None:
    """A table of 2,000 columns is created, and its rows are updated."""
    others = ", ".join(f"c{number} INTEGER" for number in range(1, 2000))
    link.source.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {others})", "INSERT INTO t (id, c5) VALUES (1, 1), (2, 2)")
    assert link.sync_one("t", {"create_table": True}).rows_inserted == 2
    link.source.execute(
        "UPDATE t SET c5 = 3, c1999 = 4 WHERE id = 1", "DELETE FROM t WHERE id = 2", "INSERT INTO t (id) VALUES (3)"
    )
    report = link.sync_one("t")
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted) == (1, 1, 1)
    link.assert_equal("t")
