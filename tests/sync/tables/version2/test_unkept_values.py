"""Values that the target does not keep, though nothing says so while they are loaded: the column is named, and no retry helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.databases.sqlite.load import SQLiteLoader
from airflow_provider_sync.exceptions import SyncFailed
from tests.database_servers import MARIADB
from tests.engines import on_engines
from tests.sync.link import Link, linked


@pytest.mark.parametrize("all_rows", [False, True])
def test_a_column_that_keeps_other_values_is_named(two_same: Link, all_rows: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unchanged rows that are staged differently each time are an error that names the column; nothing is changed."""
    two_same.create("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20), w INTEGER)")
    two_same.source.execute("INSERT INTO t VALUES (1, 'a', 1), (2, 'same', 2), (3, 'same', 3)")
    two_same.target.execute(f"INSERT INTO t VALUES (1, 'old', 1), (2, '{'old' if all_rows else 'same'}', 2), (3, 'same', 3)")
    before = two_same.target.rows("t")
    load = SQLiteLoader.load_text

    def load_otherwise(database, connection, staging, columns, blocks):  # type: ignore[no-untyped-def]  # as the original
        if len(columns) != 3:
            return load(database, connection, staging, columns, blocks)
        return load(database, connection, staging, columns, (block.replace(b"a", b"A") for block in blocks))

    monkeypatch.setattr(SQLiteLoader, "load_text", load_otherwise)
    with pytest.raises(SyncFailed, match=r"does not keep all values of 'v' \(VARCHAR\(20\)\)") as failure:
        two_same.sync_one("t")
    assert not failure.value.retryable
    assert two_same.target.rows("t") == before
    two_same.assert_clean()


@on_engines(MARIADB)
@pytest.mark.parametrize("change", ["UPDATE t SET v = NULL WHERE id = 1", "INSERT INTO t VALUES (3, NULL)"])
def test_a_time_that_replaces_null(into: Link, change: str) -> None:
    """MariaDB loads the present time for NULL into a TIMESTAMP NOT NULL: the error says to allow NULL."""
    into.protocol = "2"
    into.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v DATETIME)",
        "INSERT INTO t VALUES (1, '2020-01-01 00:00:00'), (2, '2020-01-01 00:00:00')",
    )
    into.target.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TIMESTAMP(6) NOT NULL)")
    into.sync_one("t")
    into.source.execute(change)
    with pytest.raises(SyncFailed, match=r"values of 'v' .* has NULL there: let the target's column be NULL, or leave it out"):
        into.sync_one("t")


HIDDEN = {
    "sqlite": ("CREATE TRIGGER x AFTER UPDATE ON t BEGIN UPDATE t SET v = 'x' WHERE id = NEW.id; END",),
    "mysql": ("CREATE TRIGGER x BEFORE UPDATE ON t FOR EACH ROW SET NEW.v = 'x'",),
    "postgresql": ("CREATE RULE x AS ON UPDATE TO t DO ALSO DELETE FROM t WHERE id = NEW.id",),
}


def test_what_changes_written_rows_is_not_taken_for_somebody_else(two_into: Link) -> None:
    """Triggers and rules that change written rows fail the sync permanently, with the column; nothing is changed."""
    two_into.create("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20), w INTEGER)")
    two_into.source.execute("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)")
    two_into.target.execute("INSERT INTO t VALUES (1, 'old', 1), (2, 'b', 2)", *two_into.target.pick(HIDDEN))
    before = two_into.target.rows("t")
    with pytest.raises(SyncFailed, match=r"change(s)? what is written") as failure:
        two_into.sync_one("t")
    assert not failure.value.retryable
    if two_into.target.dialect != "postgresql":
        assert "'v'" in str(failure.value)
    assert two_into.target.rows("t") == before
    two_into.assert_clean()


KEEPING = {
    "sqlite": ("CREATE TRIGGER x BEFORE DELETE ON t BEGIN SELECT RAISE(IGNORE); END",),
    "postgresql": ("CREATE RULE x AS ON DELETE TO t DO INSTEAD NOTHING",),
}


def test_rows_that_cannot_be_deleted_are_an_error(two_into: Link) -> None:
    """A trigger or rule that prevents deletes fails the sync permanently; nothing is changed."""
    if two_into.target.dialect not in KEEPING:
        return  # these engines have no way to pass over a delete in silence
    two_into.create("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))")
    two_into.source.execute("INSERT INTO t VALUES (1, 'a')")
    two_into.target.execute("INSERT INTO t VALUES (1, 'old'), (2, 'goes')", *two_into.target.pick(KEEPING))
    with pytest.raises(SyncFailed, match="1 that were deleted are still there") as failure:
        two_into.sync_one("t")
    assert not failure.value.retryable
    assert two_into.target.rows("t") == [(1, "old"), (2, "goes")]
    two_into.assert_clean()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize("protocol", ["1", "2"])
def test_the_character_nul_names_its_column(tmp_path: Path, postgresql_url: str, protocol: str, driver: str) -> None:
    """A text with NUL, which only PostgreSQL cannot store, is an error that names the column; nothing is changed."""
    pytest.importorskip(driver)
    url = postgresql_url.replace("postgresql://", f"postgresql+{driver}://")
    with linked(f"sqlite:///{tmp_path / 's.db'}", url) as link:
        link.protocol = protocol
        link.create("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20), w VARCHAR(20))", "INSERT INTO t VALUES (1, 'a', 'b')")
        link.source.execute("INSERT INTO t VALUES (2, 'tab\t', 'x'), (3, 'c', 'a' || char(0) || 'b')")
        with pytest.raises(
            SyncFailed, match=r"'t', column 'w' .*: a value has a NUL character.*Change the column's type"
        ) as failure:
            link.sync_one("t")
        assert not failure.value.retryable
        assert link.target.rows("t") == [(1, "a", "b")]
        link.assert_clean()


@pytest.mark.parametrize("rows", [0, 1], ids=["first load", "merge"])
def test_a_key_that_loses_its_spaces_is_named(sqlite_url: str, postgresql_url: str, rows: int) -> None:
    """A key with a trailing space, for a fixed-width target, is an error that names the column; nothing is changed."""
    with linked(sqlite_url, postgresql_url) as link:
        link.protocol = "2"
        link.source.execute("CREATE TABLE t (k VARCHAR(5) PRIMARY KEY, v INTEGER)", "INSERT INTO t VALUES ('a ', 1), ('b', 2)")
        link.target.execute("CREATE TABLE t (k CHAR(5) PRIMARY KEY, v INTEGER)", *["INSERT INTO t VALUES ('a', 7)"] * rows)

        with pytest.raises(SyncFailed, match=r"'k' \(character\(5\)\)") as failed:
            link.sync_one("t")

        assert not failed.value.retryable
        assert link.target.rows("t") == [("a", 7)] * rows
        link.assert_clean()
