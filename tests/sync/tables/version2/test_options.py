"""What a table's options and the connection's rights make of a sync over version 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.exceptions import SyncFailed
from tests.sync.link import Link, linked


def test_a_window_confines_a_sync(two: Link) -> None:
    """Only rows inside a window change, and rows that moved out or in."""
    two.create("CREATE TABLE t (id INTEGER PRIMARY KEY, at {DATETIME}, v VARCHAR(9))")
    two.offered["t"] = {"windows": ["at"]}

    def insert(*rows: tuple[int, str | None, str]) -> str:
        values = ", ".join(
            f"({key}, {f'{chr(39)}{day} 00:00:00.000000{chr(39)}' if day else 'NULL'}, '{v}')" for key, day, v in rows
        )
        return f"INSERT INTO t VALUES {values}"

    two.source.execute(
        insert(
            (1, "2024-01-01", "out"),
            (2, "2024-02-01", "first"),
            (3, "2024-02-29", "last"),
            (4, "2024-03-01", "out"),
            (5, None, "null"),
            (6, "2024-02-10", "new"),
            (7, "2024-05-05", "moved"),
            (8, "2024-02-11", "came in"),
        )
    )
    two.target.execute(
        insert(
            (1, "2024-01-01", "kept"),
            (3, "2024-02-29", "old"),
            (7, "2024-02-05", "old"),
            (8, "2023-01-01", "old"),
            (9, "2024-02-20", "goes"),
            (10, "2024-03-02", "kept"),
            (11, None, "kept"),
        )
    )
    options = {"window": ("at", "2024-02-01T00:00:00+00:00", "2024-03-01")}
    report = two.sync_one("t", options)
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted, report.rows_total) == (2, 3, 1, 4)
    source = {row[0]: row for row in two.source.rows("t")}
    target = {row[0]: row for row in two.target.rows("t")}
    assert sorted(target) == [1, 2, 3, 6, 7, 8, 10, 11]
    assert [target[number] for number in (2, 3, 6, 7, 8)] == [source[number] for number in (2, 3, 6, 7, 8)]
    assert {target[number][2] for number in (1, 10, 11)} == {"kept"}
    two.assert_clean()
    assert two.sync_one("t", options).status == "unchanged"
    two.source.execute("DELETE FROM t")
    with pytest.raises(SyncFailed, match="allow_empty_source"):
        two.sync_one("t", options)
    assert two.sync_one("t", {**options, "allow_empty_source": True}).rows_deleted == 4
    assert sorted(row[0] for row in two.target.rows("t")) == [1, 7, 10, 11]


def test_a_missing_target_is_made(two: Link) -> None:
    """``create_table`` creates a target from the source's description that holds its values."""
    two.source.execute(
        "CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(50) NOT NULL, amount DECIMAL(12,2), at {DATETIME},"
        " ratio {DOUBLE}, raw {BYTES})",
        "INSERT INTO t VALUES (1, 'ä', 1.10, '2024-02-29 12:34:56.123456', 0.1, NULL), (-2, '', NULL, NULL, NULL, NULL)",
    )
    options = {"create_table": True, "renames": {"name": "label"}}
    planned = two.sync_one("t", options, dry_run=True)
    assert (planned.status, planned.rows_inserted) == ("planned", 2)
    assert two.target.names() == []
    report = two.sync_one("t", options)
    assert (report.status, report.rows_inserted, report.verified) == ("changed", 2, "digest")
    assert two.target.describe("t").primary_key == ("id",)
    two.assert_equal("t")
    two.source.execute("UPDATE t SET name = 'changed' WHERE id = 1")
    assert two.sync_one("t", options).rows_updated == 1


def test_a_column_without_a_type_is_not_made(two_into: Link) -> None:
    """If no target type keeps values of any type, nothing is created, and a dry run says so; SQLite keeps them."""
    two_into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)", "INSERT INTO t VALUES (1, 'a'), (2, 2)")
    options = {"create_table": True}
    if two_into.target.dialect == "sqlite":
        assert two_into.sync_one("t", options).rows_inserted == 2
        return
    for dry_run in (True, False):
        with pytest.raises(SyncFailed, match=r"column 'v': the source declares no type for it.* by CAST\)"):
            two_into.sync_one("t", options, dry_run=dry_run)
        assert two_into.target.names() == []
    assert two_into.sync_one("t", {**options, "columns": ["id"]}).rows_inserted == 2


def test_renames_columns_and_another_table(two_into: Link) -> None:
    """Columns may be renamed or left out, and the target may have another name, order and its own columns."""
    two_into.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20), secret VARCHAR(20))",
        "INSERT INTO t VALUES (1, 'a', 'x'), (2, 'b', 'y')",
    )
    two_into.target.execute(
        "CREATE TABLE copies (label VARCHAR(20), local VARCHAR(20) DEFAULT 'mine', number INTEGER PRIMARY KEY)",
        "INSERT INTO copies VALUES ('old', 'kept', 1)",
    )
    options = {"table": "copies", "columns": ["name"], "renames": {"name": "label", "id": "number"}}
    report = two_into.sync_one("t", options)
    assert (report.rows_inserted, report.rows_updated, report.verified) == (1, 1, "digest")
    assert two_into.target.rows("copies") == [("a", "kept", 1), ("b", "mine", 2)]
    assert two_into.sync_one("t", options).status == "unchanged"
    two_into.source.execute("UPDATE t SET secret = 'other'")
    assert two_into.sync_one("t", options).status == "unchanged"


def test_a_dry_run_writes_nothing(two_into: Link) -> None:
    """A dry run reports what a run would do, and leaves the target as it was."""
    two_into.create("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    two_into.source.execute("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)")
    two_into.target.execute("INSERT INTO t VALUES (2, 7), (4, 4)")
    before = two_into.target.rows("t")
    report = two_into.sync_one("t", dry_run=True)
    assert (report.status, report.rows_inserted, report.rows_updated, report.rows_deleted) == ("planned", 2, 1, 1)
    assert two_into.target.rows("t") == before
    two_into.assert_clean()


def test_all_tables_or_none(two_into: Link) -> None:
    """In a single transaction, one failing table leaves all as they were; with separate ones, the others arrive."""
    for name in ("a", "b", "c"):
        two_into.source.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, n INTEGER)", f"INSERT INTO {name} VALUES (1, 1)")
    two_into.target.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, n INTEGER)", "CREATE TABLE b (id INTEGER PRIMARY KEY)")
    options = {"c": {"create_table": True}}
    with pytest.raises(SyncFailed, match="has no column 'n'") as failure:
        two_into.sync("a", "b", "c", options=options, single_transaction=True)
    assert [report.status for report in failure.value.reports] == ["failed", "failed", "failed"]
    assert two_into.target.rows("a") == []
    assert two_into.target.names() == ["a", "b"]
    with pytest.raises(SyncFailed) as failure:
        two_into.sync("a", "b", "c", options=options, single_transaction=False)
    assert [report.status for report in failure.value.reports] == ["changed", "failed", "changed"]
    assert two_into.target.rows("a") == two_into.target.rows("c") == [(1, 1)]
    assert two_into.target.names() == ["a", "b", "c"]


@pytest.mark.parametrize("staging", ["permanent", "temporary", "tests.sync.tables.staging_class.NamedStaging"])
def test_every_kind_of_staging(two_into: Link, staging: str) -> None:
    """Rows may be staged in a permanent table, a temporary one, or one from a user's class."""
    two_into.create("CREATE TABLE t (id INTEGER PRIMARY KEY, n VARCHAR(9))")
    two_into.source.execute("INSERT INTO t VALUES (1, 'x'), (2, NULL), (3, 'y'), (4, 'z')")
    assert two_into.sync_one("t", {"staging": staging}).rows_inserted == 4
    two_into.source.execute("UPDATE t SET n = 'other' WHERE id = 1", "DELETE FROM t WHERE id = 2")
    assert two_into.sync_one("t", {"staging": staging}).rows_deleted == 1
    two_into.assert_equal("t")
    assert two_into.target.names() == ["t"]


def test_a_window_must_be_offered(two_same: Link) -> None:
    """A window on a column that the server does not allow is an error that names the option; nothing is written."""
    two_same.create("CREATE TABLE t (id INTEGER PRIMARY KEY, at DATE)")
    two_same.source.execute("INSERT INTO t VALUES (1, '2024-01-01')")
    with pytest.raises(SyncFailed, match="windows"):
        two_same.sync_one("t", {"window": ("at", "2024-01-01", "2024-02-01")})
    assert two_same.target.rows("t") == []
    two_same.assert_clean()


def test_negotiation_takes_what_the_server_has(two_same: Link) -> None:
    """``auto`` and ``2`` use version 2 with a server that has it, ``1`` does not; the report has the version."""
    two_same.create("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    for number, (protocol, spoken) in enumerate((("auto", 2), ("2", 2), ("1", 1))):
        two_same.protocol = protocol
        two_same.source.execute(f"INSERT INTO t VALUES ({number}, 1)")
        report = two_same.sync_one("t")
        assert (report.protocol, report.rows_inserted) == (spoken, 1)
    two_same.assert_equal("t")


def test_a_user_without_temporary_tables_is_told_which_privilege(mysql_url: str, tmp_path: Path) -> None:
    """If the user may not create temporary tables, the error names the privilege; nothing is changed."""
    owner = open_engine(mysql_url)
    database = owner.url.database
    with owner.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(9))")
        connection.exec_driver_sql("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
        connection.commit()
        connection.exec_driver_sql(f"CREATE USER {database}@localhost IDENTIFIED BY 'few'")
        connection.exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP ON {database}.* TO {database}@localhost")
    limited = owner.url.set(username=database, password="few").render_as_string(hide_password=False)
    try:
        with linked(f"sqlite:///{tmp_path / 'source.db'}", limited) as link:
            link.protocol = "2"
            link.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(9))")
            link.source.execute("INSERT INTO t VALUES (1, 'a'), (2, 'other'), (3, 'c')")
            with pytest.raises(SyncFailed, match="CREATE TEMPORARY TABLES on MySQL"):
                link.sync_one("t")
            assert link.target.rows("t") == [(1, "a"), (2, "b"), (3, "c")]
            link.assert_clean()
    finally:
        with owner.connect() as connection:
            connection.exec_driver_sql(f"DROP USER {database}@localhost")
        owner.dispose()


def test_a_failed_report_says_which_version_was_spoken(same: Link) -> None:
    """The report of a failure has the version of the protocol, too."""
    same.protocol = "2"
    same.create("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    same.source.execute("ALTER TABLE t ADD COLUMN extra INTEGER")
    with pytest.raises(SyncFailed, match="extra") as failure:
        same.sync_one("t")
    assert [report.protocol for report in failure.value.reports] == [2]


@pytest.mark.parametrize("rows", [0, 1], ids=["first", "difference"])
def test_no_row_outside_a_window_is_replaced(two_same: Link, rows: int) -> None:
    """A unique key of SQLite with ON CONFLICT REPLACE deletes no row, inside or outside of the window."""
    two_same.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, e TEXT, n INTEGER)", "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 1)"
    )
    two_same.source.execute("INSERT INTO t VALUES (3, 'a', 1)")
    two_same.target.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, e TEXT UNIQUE ON CONFLICT REPLACE, n INTEGER)")
    two_same.target.execute(*["INSERT INTO t VALUES (2, 'b', 1), (9, 'a', 5)"] * rows)
    two_same.offered["t"] = {"windows": ["n"]}
    before = two_same.target.rows("t")

    with pytest.raises(SyncFailed, match=r"UNIQUE constraint failed: t\.e"):
        two_same.sync_one("t", {"window": ("n", "0", "3"), "verify": False} if rows else {"verify": False})

    assert two_same.target.rows("t") == before
    two_same.assert_clean()


def test_a_window_that_ends_before_it_begins(two_same: Link) -> None:
    """A window that ends before it begins is refused instead of being unchanged forever."""
    two_same.create("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    two_same.source.execute("INSERT INTO t VALUES (1, 9)")
    two_same.offered["t"] = {"windows": ["n"]}
    with pytest.raises(SyncFailed, match=r"'t': window: .*ends before that, at '9'"):
        two_same.sync("t", options={"t": {"window": ["n", "10", "9"]}})
    assert two_same.target.rows("t") == []
