"""Tables that a mode cannot use are refused before anything is written, with column, option and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from tests.every_pair import every_pair
from tests.sync.link import Link
from tests.sync.tables.mode_tables import copies, counts

TIMES = "valid_from {DATETIME} NOT NULL, valid_to {DATETIME} NULL"


def refused(link: Link, options: dict[str, Any], message: str) -> None:
    """See that a sync of ``t`` is refused, and that its target ``copy`` stays as it is."""
    before = link.target.rows("copy")
    with pytest.raises(SyncFailed, match=message):
        link.sync_one("t", {"table": "copy", **options})
    assert link.target.rows("copy") == before
    link.assert_clean()


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (
            "",
            {"mode": "soft_delete"},
            r"no column 'deleted_at', which mode soft_delete needs \(option deleted_at\)\. Run:\nA",
        ),
        (
            ", deleted_at VARCHAR(30)",
            {"mode": "soft_delete"},
            "'deleted_at'.*it holds no timestamps. Declare it .* NULL DEFAULT NULL, or",
        ),
        (
            ", gone {DATETIME} DEFAULT '2026-01-01 00:00:00' NOT NULL",
            {"mode": "soft_delete", "deleted_at": "gone"},
            "column 'gone'.*cannot be the deleted_at of mode soft_delete: it is NOT NULL",
        ),
        (f", {TIMES}, is_current VARCHAR(5)", {"mode": "history"}, "'is_current'.*it holds no truth values"),
        (f", {TIMES}", {"mode": "history", "is_current": "now"}, r"no column 'now', .*\(option is_current\)"),
    ],
)
@pytest.mark.parametrize("protocol", ["1", "2"])
def test_columns_of_the_target(same: Link, protocol: str, columns: str, options: dict[str, Any], message: str) -> None:
    """A missing column, or one that cannot hold the mode's values, is named with its option."""
    same.protocol = protocol
    same.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES (1, 'a')")
    same.target.execute(f"CREATE TABLE copy (id INTEGER PRIMARY KEY, v VARCHAR(20){columns})")
    if "valid_from" not in columns:
        same.target.execute("INSERT INTO copy (id) VALUES (7)")
    refused(same, options, message)


@pytest.mark.parametrize("protocol", ["1", "2"])
@pytest.mark.parametrize("clause", ["DEFAULT CURRENT_TIMESTAMP", "ON UPDATE CURRENT_TIMESTAMP"])
def test_a_mark_that_the_database_sets(into: Link, protocol: str, clause: str) -> None:
    """A column that would mark new or changed rows by itself is refused; an explicit default of NULL is not."""
    if clause.startswith("ON") and into.target.dialect != "mysql":
        pytest.skip("no such columns there")
    into.protocol = protocol
    into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES (1, 'a')")
    columns = "id INTEGER PRIMARY KEY, v VARCHAR(20), deleted_at"
    sql_type = "TIMESTAMP NULL" if into.target.dialect == "mysql" else "TIMESTAMP"
    into.target.execute(
        f"CREATE TABLE copy ({columns} {sql_type} {clause})", f"CREATE TABLE plain ({columns} {sql_type} DEFAULT NULL)"
    )
    refused(into, {"mode": "soft_delete"}, r"'deleted_at'.*the database sets it in new or changed rows.*NULL DEFAULT NULL, or")
    assert into.sync_one("t", {"table": "plain", "mode": "soft_delete"}).rows_inserted == 1


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_a_column_that_the_source_has_too(same: Link, protocol: str) -> None:
    """A source column with the name of a mode's column is refused; with another name, both exist."""
    same.protocol = protocol
    same.create("CREATE TABLE t (id INTEGER PRIMARY KEY, deleted_at {DATETIME})")
    same.source.execute("INSERT INTO t VALUES (1, NULL)")
    same.target.execute("CREATE TABLE copy (id INTEGER PRIMARY KEY, deleted_at {DATETIME}, gone {DATETIME}, removed {DATETIME})")
    message = "the source has a column 'deleted_at', which mode soft_delete needs for itself.*with deleted_at, or rename"
    refused(same, {"mode": "soft_delete"}, message)
    named = same.sync_one("t", {"table": "copy", "mode": "soft_delete", "deleted_at": "gone"})
    assert counts(named) == ("changed", 1, 0, 0)
    renamed = same.sync_one("t", {"table": "copy", "mode": "soft_delete", "renames": {"deleted_at": "removed"}})
    assert counts(renamed) == ("unchanged", 0, 0, 0)


def test_columns_of_a_mode_are_not_made_of_the_sources(two_same: Link) -> None:
    """``create_table`` refuses a source column with the name of a mode's column, and creates nothing."""
    two_same.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, valid_to TEXT)", "INSERT INTO t VALUES (1, NULL)")
    with pytest.raises(SyncFailed, match="the source has a column 'valid_to', which mode history needs for itself"):
        two_same.sync_one("t", {"mode": "history", "create_table": True})
    assert two_same.target.names() == []


@pytest.mark.parametrize("mode", ["soft_delete", "history"])
def test_guards_count_what_ends(two_same: Link, mode: str) -> None:
    """``max_deletes`` and ``allow_empty_source`` apply to rows that would be marked or ended."""
    with copies(two_same) as targets:
        targets.sync(mode)
        before = two_same.target.rows(mode)
        two_same.source.execute("DELETE FROM t WHERE id > 50")
        with pytest.raises(SyncFailed, match="would delete 150 of 200 rows; max_deletes is 50%"):
            targets.sync(mode)
        assert two_same.target.rows(mode) == before
        assert counts(targets.sync(mode, max_deletes=150)) == ("changed", 0, 0, 150)
        # Rows that ended are not there any more, neither to be deleted nor to be counted.
        two_same.source.execute("DELETE FROM t")
        with pytest.raises(SyncFailed, match="source of 't' is empty, and the target has 50 rows"):
            targets.sync(mode)
        assert counts(targets.sync(mode, allow_empty_source=True)) == ("changed", 0, 0, 50)
        assert targets.current(mode) == []
        two_same.source.execute("INSERT INTO t VALUES (1, 'v1')")
        assert counts(targets.sync(mode)) == ("changed", *((1, 0, 0) if mode == "history" else (0, 1, 0)))
        assert targets.current(mode) == [(1, "v1")]


@pytest.mark.parametrize("mode", ["upsert", "append"])
def test_an_empty_source_takes_nothing(two_same: Link, mode: str) -> None:
    """With a mode that keeps all rows, an empty source changes nothing, and needs no option."""
    with copies(two_same) as targets:
        targets.sync(mode)
        two_same.source.execute("DELETE FROM t")
        assert counts(targets.sync(mode)) == ("unchanged", 0, 0, 0)
        assert len(targets.rows(mode)) == 200


@pytest.mark.parametrize("taken", ["INSERT INTO t VALUES (3, 'a')", "UPDATE t SET v = 'a'"], ids=["inserted", "updated"])
def test_values_that_ended_rows_hold(two_into: Link, taken: str) -> None:
    """A unique value of a marked row is not moved: the sync fails, and nothing is written."""
    two_into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    two_into.target.execute("CREATE TABLE copy (id INTEGER PRIMARY KEY, v VARCHAR(20) UNIQUE, deleted_at {DATETIME} NULL)")
    options = {"table": "copy", "mode": "soft_delete"}
    two_into.sync_one("t", options)
    two_into.source.execute("DELETE FROM t WHERE id = 1")
    two_into.sync_one("t", options)
    two_into.source.execute(taken)
    refused(two_into, options, "mode soft_delete, rows that the source lacks keep their values of unique keys.*Remove the row")


@pytest.mark.parametrize("mode", ["soft_delete", "history"])
def test_a_value_of_ended_rows_that_is_taken(same: Link, mode: str) -> None:
    """If ended rows have their own unique index, its error names mode, key and what to do."""
    same.target.pick({"sqlite": True, "postgresql": True})
    ended = "deleted_at" if mode == "soft_delete" else "valid_to"
    key = "id" if mode == "soft_delete" else "id, valid_from"
    times = "" if mode == "soft_delete" else f", {TIMES}, is_current BOOLEAN NOT NULL"
    same.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    deleted = ", deleted_at {DATETIME} NULL" if mode == "soft_delete" else ""
    same.target.execute(
        f"CREATE TABLE copy (id INTEGER NOT NULL, v VARCHAR(20){deleted}{times}, PRIMARY KEY ({key}))",
        f"CREATE UNIQUE INDEX once ON copy (v) WHERE {ended} IS NOT NULL",
    )
    options = {"table": "copy", "mode": mode, "max_deletes": "100%"}
    for row in (1, 11):
        same.sync_one("t", options)
        same.source.execute(f"DELETE FROM t WHERE id = {row}", f"INSERT INTO t VALUES ({row + 10}, 'a')")
    refused(same, options, f"mode {mode}, rows that the source lacks keep their values of unique keys.*drop the unique key")


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_a_value_of_a_row_that_append_left(same: Link, protocol: str) -> None:
    """With append, the holder of a unique value may be a row that the source has, and the error does not deny it."""
    same.protocol = protocol
    same.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES (1, 'a')")
    same.target.execute("CREATE TABLE copy (id INTEGER PRIMARY KEY, v VARCHAR(20) UNIQUE)", "INSERT INTO copy VALUES (1, 'a')")
    same.source.execute("UPDATE t SET v = 'b'", "INSERT INTO t VALUES (2, 'a')")
    refused(same, {"mode": "append"}, "With mode append, rows of the target are not changed and keep their values of unique keys")


@every_pair(mode=["mirror", "upsert", "append"], protocol=["1", "2"], options=[{}, {"primary": "id"}])
def test_a_history_in_another_mode(same: Link, protocol: str, mode: str, options: dict[str, Any]) -> None:
    """Other modes refuse a table of versions, because they would delete or overwrite them."""
    same.protocol = protocol
    same.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    same.target.execute(
        "CREATE TABLE copy (id INTEGER NOT NULL, v VARCHAR(20), since {DATETIME} DEFAULT '1970-01-01 00:00:00' NOT NULL,"
        " valid_to {DATETIME} NULL, is_current BOOLEAN DEFAULT TRUE NOT NULL, PRIMARY KEY (id, since))"
    )
    history = {"table": "copy", "mode": "history", "valid_from": "since"}
    same.sync_one("t", history)
    same.source.execute("DELETE FROM t WHERE id = 2")
    same.sync_one("t", history)
    refused(same, {"mode": mode, **options}, "keeps a history.*'since' in its primary key.*mode: history")
    assert counts(same.sync_one("t", history)) == ("unchanged", 0, 0, 0)


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_a_time_in_the_key_that_the_source_sends(same: Link, protocol: str) -> None:
    """A time in the key does not make a table a history: the source's own history can be mirrored."""
    same.protocol = protocol
    same.create("CREATE TABLE t (id INTEGER NOT NULL, valid_from {DATETIME} NOT NULL, PRIMARY KEY (id, valid_from))")
    same.source.execute("INSERT INTO t VALUES (1, '2026-01-01 00:00:00'), (1, '2026-02-01 00:00:00')")
    assert counts(same.sync_one("t")) == ("changed", 2, 0, 0)
    assert counts(same.sync_one("t")) == ("unchanged", 0, 0, 0)
