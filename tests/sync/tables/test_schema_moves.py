"""Columns of a source that change while a table is synced, in one go and in steps, with a source on each engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.databases.schema import Row
from airflow_provider_sync.exceptions import SyncError, SyncFailed, TableError
from airflow_provider_sync.protocol.v2.messages import DescribeTable, DigestRows, GetRows
from airflow_provider_sync.sync import sync_tables
from airflow_provider_sync.sync.tables.apply_schema_changes import altered
from airflow_provider_sync.sync.tables.schema_changes import SchemaDiffers
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice
from airflow_provider_sync.sync.tables.target import resolve_target
from airflow_provider_sync.sync.tables.version2.source import Version2Source
from tests.sync.link import Link, linked
from tests.sync.tables.interrupted import Interrupted
from tests.sync.tables.test_steps import Steps

ADD = {"on_schema_change": "add"}
ROWS: list[Row] = [(1, "old", "kept"), (2, "same", "same")]


@pytest.fixture
def moving(database_url: str, tmp_path: Path) -> Iterator[Link]:
    """Give a source on each engine, in which one row of two differs from the target, on SQLite."""
    with linked(database_url, f"sqlite:///{tmp_path / 'copy.db'}") as link:
        link.protocol = "2"
        link.create("CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9), b VARCHAR(9))")
        link.source.execute("INSERT INTO t VALUES (1, 'new', 'new'), (2, 'same', 'same')")
        link.target.execute("INSERT INTO t VALUES (1, 'old', 'kept'), (2, 'same', 'same')")
        yield link


@pytest.mark.parametrize("before", [GetRows, DescribeTable])
def test_a_column_that_goes_meanwhile_is_noticed(moving: Link, before: type) -> None:
    """A column that is dropped before an answer never counts as NULL: its values stay, or the sync fails."""
    table, database = table_from_options("t", ADD), moving.target.database
    with moving.client("t") as client, Interrupted(client.url, protocol="2", retries=0) as other:
        other.interrupt(before, 1, lambda _: moving.source.execute("ALTER TABLE t DROP COLUMN b"))
        try:
            sync_tables(other, [table], database)
        except SyncError:
            assert moving.target.rows("t") == ROWS
        else:
            assert moving.target.rows("t") == [(1, "new", "kept"), ROWS[1]]
        assert not other.left
        report = sync_tables(client, [table], database)[0]
    assert moving.target.rows("t") == [(1, "new", "kept"), ROWS[1]]
    assert "Only the target has column 'b'" in report.warnings[0]
    moving.assert_clean()


def test_a_column_that_comes_between_the_steps_is_noticed(moving: Link) -> None:
    """A new column since the comparison ends the later steps with an error; nothing is written, and a new run adds it."""
    steps = Steps(moving, ADD)
    (planned,) = steps.compare()
    staged = steps.download(planned)
    moving.source.execute("ALTER TABLE t ADD COLUMN c VARCHAR(9)")
    for step in (lambda: steps.download(planned), lambda: steps.merge([staged])):
        with pytest.raises((TableError, SyncFailed), match=r"columns changed since they were compared \(add column 'c'"):
            step()
    assert moving.target.rows("t") == ROWS
    again = Steps(moving, ADD, run_id="run 2")
    slices = again.compare()
    # DuckDB forgets the length of a text.
    added = ("add column 'c' TEXT" if moving.source.dialect == "duckdb" else "add column 'c' VARCHAR(9)",)
    assert slices[0].schema_changes == added
    report = again.merge([again.download(table_slice) for table_slice in slices])
    assert (report.status, report.schema_changes) == ("changed", added)
    assert moving.target.rows("t") == [(1, "new", "new", None), (2, "same", "same", None)]


def test_a_type_that_changes_between_the_steps_is_noticed(moving: Link) -> None:
    """Rows staged with an old type are never merged: the merge fails, and nothing is written."""
    dialect = moving.source.dialect
    if dialect == "sqlite":
        pytest.skip("SQLite does not change types")
    moving.create("CREATE TABLE u (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO u VALUES (1, 7)")
    moving.source.execute("UPDATE u SET n = 8")
    table, database = table_from_options("u", {"on_schema_change": "widen"}), moving.target.database
    with moving.client("u") as client:
        slices = compare_table(client, table, database, run_id="run").slices
        staged = [stage_slice(client, table, database, planned) for planned in slices]
        moving.source.execute(
            {
                "mysql": "ALTER TABLE u MODIFY n VARBINARY(9)",
                "postgresql": "ALTER TABLE u ALTER COLUMN n TYPE BYTEA USING int4send(n)",
                "duckdb": "ALTER TABLE u ALTER COLUMN n TYPE BLOB USING n::VARCHAR::BLOB",
            }[dialect]
        )
        with pytest.raises(SyncFailed, match="column 'n'"):
            merge_slices(client, {"u": (table, staged)}, database)
    assert moving.target.rows("u") == [(1, 7)]


def test_steps_go_on_with_what_the_comparison_left_out(two_same: Link) -> None:
    """With ``ignore``, and in a dry run, all steps sync the columns that the comparison chose."""
    two_same.create("CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9))")
    two_same.source.execute("ALTER TABLE t ADD COLUMN c VARCHAR(9)")
    with two_same.client("t") as client:
        table = table_from_options("t", ADD)
        equal = compare_table(client, table, two_same.target.database, run_id="run", dry_run=True).report
    assert (equal.status, equal.schema_changes) == ("planned", ("add column 'c' VARCHAR(9)",))
    two_same.source.execute("INSERT INTO t VALUES (1, 'x', 'y')")
    planning = Steps(two_same, ADD)
    planned = planning.compare(dry_run=True)
    report = planning.merge([planning.download(table_slice) for table_slice in planned], dry_run=True)
    assert (report.status, report.schema_changes) == ("planned", ("add column 'c' VARCHAR(9)",))
    ignoring = Steps(two_same, {"on_schema_change": "ignore"}, run_id="run 2")
    slices = ignoring.compare()
    two_same.source.execute("ALTER TABLE t ADD COLUMN d VARCHAR(9)")
    report = ignoring.merge([ignoring.download(table_slice) for table_slice in slices])
    assert (report.status, len(report.warnings)) == ("changed", 1)
    assert two_same.target.rows("t") == [(1, "x")]


def test_a_change_that_was_made_already_is_not_made_again(two_into: Link) -> None:
    """After a kill, the next run finds the columns that were already added."""
    two_into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9))", "INSERT INTO t VALUES (1, 'x')")
    two_into.target.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    database = two_into.target.database
    with two_into.client("t") as client, database.connect() as connection:
        target = resolve_target(database, connection, table_from_options("t", ADD))
        with pytest.raises(SchemaDiffers) as differs:
            Version2Source(client, database).check(target)
    for _ in range(2):
        changed = altered(database, target, differs.value.changes)
        assert [column.name for column in changed.table.columns] == ["id", "a"]
    assert changed.schema_changes == ()


@pytest.mark.parametrize("is_downloaded", [False, True], ids=["before the download", "before the merge"])
def test_a_column_that_goes_between_the_steps_is_noticed(moving: Link, is_downloaded: bool) -> None:
    """A column that the source lost since the comparison ends the later steps with an error that says so."""
    steps = Steps(moving, ADD)
    (planned,) = steps.compare()
    staged = steps.download(planned) if is_downloaded else None
    moving.source.execute("ALTER TABLE t DROP COLUMN b")
    with pytest.raises((TableError, SyncFailed), match=r"columns changed since they were compared \('b' is gone"):
        steps.merge([staged or steps.download(planned)])
    assert moving.target.rows("t") == ROWS
    again = Steps(moving, ADD, run_id="run 2")
    again.merge([again.download(table_slice) for table_slice in again.compare()])
    assert moving.target.rows("t") == [(1, "new", "kept"), ROWS[1]]


@pytest.mark.parametrize("becomes", ["another column", "another type"])
@pytest.mark.parametrize("before", [DigestRows, GetRows])
def test_a_key_that_changes_meanwhile_is_noticed(moving: Link, before: type, becomes: str) -> None:
    """If the key changes during a sync, no row counts as gone because its key is not found."""
    table = "CREATE TABLE k (id {} NOT NULL, n INTEGER NOT NULL, v INTEGER, PRIMARY KEY ({}))"
    rows = ", ".join(f"({number}, {number + 1000}, 1)" for number in range(300))
    moving.create(table.format("INTEGER", "id"), f"INSERT INTO k VALUES {rows}")
    moving.source.execute("UPDATE k SET v = 2 WHERE id < 10")
    old = moving.target.rows("k")
    new = table.format("INTEGER", "n") if becomes == "another column" else table.format("DECIMAL(9, 2)", "id")
    replaced = ["DROP TABLE k", new, f"INSERT INTO k VALUES {rows}", "UPDATE k SET v = 2 WHERE id < 10"]
    with moving.client("k") as client, Interrupted(client.url, protocol="2", retries=0) as other:
        other.interrupt(before, 1, lambda _: moving.source.execute(*replaced))
        options = [table_from_options("k", {"max_deletes": "100%"})]
        with pytest.raises(SyncFailed, match=r"described with the key id \(integer\), and now has the key"):
            sync_tables(other, options, moving.target.database)
        assert moving.target.rows("k") == old
        assert sync_tables(client, options, moving.target.database)[0].rows_updated == 10
    moving.assert_clean()


def test_a_key_that_changes_between_the_steps_is_noticed(moving: Link) -> None:
    """If the key changes after the comparison, the later steps end with an error that names both keys."""
    table = "CREATE TABLE t (id INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY ({}))"
    for scenario in (moving.source, moving.target):
        scenario.execute("DROP TABLE t", table.format("id"), "INSERT INTO t VALUES (1, 10), (2, 20)")
    moving.source.execute("UPDATE t SET n = 11 WHERE id = 1")
    steps = Steps(moving)
    (planned,) = steps.compare()
    moving.source.execute("DROP TABLE t", table.format("id, n"), "INSERT INTO t VALUES (1, 11), (3, 30)")
    with pytest.raises(TableError, match=r"key changed since it was compared \(it was id, and is id, n\)"):
        steps.download(planned)
    assert moving.target.rows("t") == [(1, 10), (2, 20)]


@pytest.mark.parametrize("before", [DigestRows, GetRows])
def test_an_order_that_changes_meanwhile(moving: Link, before: type) -> None:
    """If columns change their order, values still arrive in their own columns."""
    table = "CREATE TABLE k (id INTEGER NOT NULL PRIMARY KEY, {} INTEGER, {} INTEGER)"
    rows = ", ".join(f"({number}, 1, 2)" for number in range(300))
    moving.create(table.format("a", "b"), f"INSERT INTO k (id, a, b) VALUES {rows}")
    moving.source.execute("UPDATE k SET a = 5 WHERE id < 10")
    expected = moving.source.rows("k")
    replaced = [
        "DROP TABLE k",
        table.format("b", "a"),
        f"INSERT INTO k (id, a, b) VALUES {rows}",
        "UPDATE k SET a = 5 WHERE id < 10",
    ]
    with moving.client("k") as client, Interrupted(client.url, protocol="2", retries=0) as other:
        other.interrupt(before, 1, lambda _: moving.source.execute(*replaced))
        sync_tables(other, [table_from_options("k", {})], moving.target.database)
        assert not other.left
    moving.assert_clean()
    assert moving.target.rows("k") == expected
