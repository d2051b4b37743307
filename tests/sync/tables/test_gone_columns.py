"""What ``gone_columns: set_null`` does to columns that only the target has, on real databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.databases.schema import Row
from airflow_provider_sync.exceptions import ConfigurationError, SyncFailed, TableError
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.tables.change_check import table_differs
from airflow_provider_sync.sync.tables.diff import diff_table
from airflow_provider_sync.sync.tables.doctor import diagnose_table
from tests.sync.link import Link, linked
from tests.sync.tables.test_steps import Steps

SET_NULL: dict[str, Any] = {"gone_columns": "set_null"}
FORGOTTEN = ("set column 'email' to NULL",)

both_versions = pytest.mark.parametrize("protocol", ["1", "2"])


def create(link: Link, email: str = "email VARCHAR(20)", *, more: str = "") -> None:
    """Make a source that has lost the column ``email`` of its target, which has two rows, equal to the source's."""
    link.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9))", "INSERT INTO t VALUES (1, 'one'), (2, 'two')")
    link.target.execute(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, {email}, a VARCHAR(9), note VARCHAR(9){more})",
        "INSERT INTO t (id, email, a) VALUES (1, '1@x', 'one'), (2, '2@x', 'two')",
    )


def rows(link: Link) -> list[Row]:
    """Return the rows of the target."""
    return link.target.rows("t", "id", "email", "a")


def outcome(report: TableReport) -> tuple[object, ...]:
    """Return the status, and what changed."""
    return report.status, report.schema_changes, report.rows_inserted, report.rows_updated, report.rows_deleted


@both_versions
def test_values_of_a_column_that_is_gone_are_forgotten(into: Link, protocol: str) -> None:
    """Values stay by default; ``set_null`` clears them even if no row differs, and the next run changes nothing."""
    into.protocol = protocol
    create(into)
    before = rows(into)
    assert outcome(into.sync_one("t")) == ("unchanged", (), 0, 0, 0)
    assert outcome(into.sync_one("t", SET_NULL, dry_run=True)) == ("planned", FORGOTTEN, 0, 0, 0)
    assert rows(into) == before
    assert outcome(into.sync_one("t", SET_NULL)) == ("changed", FORGOTTEN, 0, 0, 0)
    assert rows(into) == [(1, None, "one"), (2, None, "two")]
    again = into.sync_one("t", SET_NULL)
    assert outcome(again) == ("unchanged", (), 0, 0, 0)
    assert not [warning for warning in again.warnings if "email" in warning]
    into.assert_clean()


@both_versions
def test_they_are_forgotten_together_with_changes_of_rows(into: Link, protocol: str) -> None:
    """New rows get NULL instead of the column's default, in the transaction that brings them."""
    into.protocol = protocol
    create(into, "email VARCHAR(20) DEFAULT 'none'")
    into.source.execute("UPDATE t SET a = 'new' WHERE id = 1", "DELETE FROM t WHERE id = 2", "INSERT INTO t VALUES (3, 'three')")
    report = into.sync_one("t", SET_NULL)
    assert outcome(report) == ("changed", FORGOTTEN, 1, 1, 1)
    assert rows(into) == [(1, None, "new"), (3, None, "three")]
    into.source.execute("INSERT INTO t VALUES (4, 'four')")
    assert outcome(into.sync_one("t", SET_NULL)) == ("changed", (), 1, 0, 0)
    assert rows(into) == [(1, None, "new"), (3, None, "three"), (4, None, "four")]


@both_versions
@pytest.mark.parametrize("changes", [False, True])
def test_they_are_forgotten_in_steps(into: Link, protocol: str, changes: bool) -> None:
    """The steps clear the same values as one task, also if no row differs, and then find no difference."""
    into.protocol = protocol
    create(into)
    if changes:
        into.source.execute("UPDATE t SET a = 'new' WHERE id = 1")
    before = rows(into)
    updated = 1 if changes else 0
    assert outcome(Steps(into, SET_NULL, run_id="dry").all(dry_run=True)) == ("planned", FORGOTTEN, 0, updated, 0)
    assert rows(into) == before
    assert outcome(Steps(into, SET_NULL).all()) == ("changed", FORGOTTEN, 0, updated, 0)
    assert rows(into) == [(1, None, "new" if changes else "one"), (2, None, "two")]
    if protocol == "2":
        assert Steps(into, SET_NULL, run_id="again").compare() == []
    into.assert_clean()


@both_versions
@pytest.mark.parametrize("mode", ["upsert", "soft_delete"])
def test_rows_that_a_mode_keeps_forget_them_too(into: Link, protocol: str, mode: str) -> None:
    """Rows that the source lacks are cleared, too; the columns of the mode are not gone."""
    into.protocol = protocol
    at = into.target.pick({"mysql": "DATETIME(6)", "postgresql": "TIMESTAMP", "sqlite": "DATETIME", "duckdb": "TIMESTAMP"})
    create(into, more=f", deleted_at {at}")
    into.source.execute("DELETE FROM t WHERE id = 2")
    options = {**SET_NULL, "mode": mode}
    if mode == "upsert":
        into.target.execute("ALTER TABLE t DROP COLUMN deleted_at")
    report = into.sync_one("t", options)
    assert (report.status, report.schema_changes) == ("changed", FORGOTTEN)
    assert rows(into) == [(1, None, "one"), (2, None, "two")]
    if mode == "soft_delete":
        marked = into.target.rows("t", "deleted_at")
        assert len([at for (at,) in marked if at is not None]) == 1
        into.target.execute("UPDATE t SET email = '2@x' WHERE id = 2")
        assert into.sync_one("t", options).schema_changes == FORGOTTEN
        assert into.target.rows("t", "deleted_at") == marked
    assert into.sync_one("t", options).status == "unchanged"


@both_versions
def test_a_column_that_can_never_be_null_is_refused(into: Link, protocol: str) -> None:
    """NOT NULL is an error before anything is written, also in a dry run, with what to do."""
    into.protocol = protocol
    create(into, "email VARCHAR(20) DEFAULT 'none' NOT NULL")
    into.source.execute("UPDATE t SET a = 'new' WHERE id = 1")
    before = rows(into)
    for dry_run in (True, False):
        with pytest.raises(SyncFailed, match=r"^Table 't': the source has no column 'email', .* is NOT NULL\..* Drop"):
            into.sync_one("t", SET_NULL, dry_run=dry_run)
    assert rows(into) == before
    into.assert_clean()


@both_versions
def test_a_check_that_refuses_rolls_everything_back(into: Link, protocol: str) -> None:
    """A constraint that refuses NULL ends the sync with an error that names the column and what to do."""
    into.protocol = protocol
    create(into, more=", CHECK (email IS NOT NULL)")
    into.source.execute("UPDATE t SET a = 'new' WHERE id = 1")
    before = rows(into)
    with pytest.raises(SyncFailed, match=r"gone_columns could not set 'email' to NULL.* Drop the column"):
        into.sync_one("t", SET_NULL)
    assert rows(into) == before
    into.assert_clean()


def test_a_column_of_a_unique_key_is_forgotten(into: Link) -> None:
    """A gone column of a unique key is cleared, because unique keys allow any number of NULLs."""
    into.protocol = "2"
    create(into, "email VARCHAR(20) UNIQUE")
    into.source.execute("UPDATE t SET a = 'new' WHERE id = 1", "INSERT INTO t VALUES (3, 'three')")
    assert outcome(into.sync_one("t", SET_NULL)) == ("changed", FORGOTTEN, 1, 1, 0)
    assert rows(into) == [(1, None, "new"), (2, None, "two"), (3, None, "three")]


@both_versions
def test_a_column_that_refers_to_rows_that_go_is_forgotten(into: Link, protocol: str) -> None:
    """A foreign key that is gone at the source does not keep its parents at the target."""
    into.protocol = protocol
    if into.target.dialect == "duckdb":
        pytest.skip("DuckDB checks foreign keys as if rows of the transaction were still there")
    into.source.execute(
        "CREATE TABLE p (id INTEGER PRIMARY KEY)",
        "INSERT INTO p VALUES (2)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9))",
        "INSERT INTO t VALUES (1, 'one')",
    )
    into.target.execute(
        "CREATE TABLE p (id INTEGER PRIMARY KEY)",
        "INSERT INTO p VALUES (1), (2)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, email INTEGER, a VARCHAR(9), FOREIGN KEY (email) REFERENCES p (id))",
        "INSERT INTO t VALUES (1, 1, 'one')",
    )
    reports = into.sync("p", "t", options={"t": SET_NULL})
    assert [outcome(report) for report in reports] == [("changed", (), 0, 0, 1), ("changed", FORGOTTEN, 0, 0, 0)]
    assert rows(into) == [(1, None, "one")]


@pytest.mark.parametrize("single_transaction", [True, False])
def test_many_tables_forget_in_one_run(into: Link, single_transaction: bool) -> None:
    """Small tables with values to clear do not count as unchanged."""
    into.protocol = "2"
    create(into)
    into.create("CREATE TABLE u (id INTEGER PRIMARY KEY)", "INSERT INTO u VALUES (1)")
    options = {"t": SET_NULL, "u": SET_NULL}
    reports = into.sync("t", "u", options=options, single_transaction=single_transaction)
    assert [outcome(report) for report in reports] == [("changed", FORGOTTEN, 0, 0, 0), ("unchanged", (), 0, 0, 0)]
    assert rows(into) == [(1, None, "one"), (2, None, "two")]
    again = into.sync("t", "u", options=options, single_transaction=single_transaction)
    assert [report.status for report in again] == ["unchanged", "unchanged"]
    assert sum(report.requests for report in again) <= 2


def test_it_is_known_beforehand(two_into: Link) -> None:
    """``diff``, ``doctor`` and sensors name the gone columns that would be cleared, or the reason why they cannot be."""
    create(two_into)
    table, database = table_from_options("t", SET_NULL), two_into.target.database
    with two_into.client("t") as client:
        found = diff_table(client, table, database).report
        assert outcome(found) == ("planned", FORGOTTEN, 0, 0, 0)
        assert diagnose_table(client, table, database).notes == ("A run would set column 'email' to NULL.",)
        assert table_differs(client, table, database)
        two_into.target.execute("UPDATE t SET email = NULL")
        assert diff_table(client, table, database).report.status == "unchanged"
        assert diagnose_table(client, table, database).notes == ()
        assert not table_differs(client, table, database)


@both_versions
def test_a_column_that_was_renamed_is_not_forgotten(same: Link, protocol: str) -> None:
    """If a new column is left out, a gone one may have been renamed: that is an error, and nothing is written."""
    same.protocol = protocol
    create(same)
    same.source.execute("DROP TABLE t", "CREATE TABLE t (id INTEGER PRIMARY KEY, mail VARCHAR(20), a VARCHAR(9))")
    same.source.execute("INSERT INTO t VALUES (1, '1@x', 'one'), (2, '2@x', 'two')")
    before = rows(same)
    with pytest.raises(SyncFailed, match="may have been renamed"):
        same.sync_one("t", {**SET_NULL, "on_schema_change": "ignore"})
    assert rows(same) == before
    report = same.sync_one("t", {**SET_NULL, "on_schema_change": "ignore", "renames": {"mail": "email"}})
    assert report.schema_changes == ()
    assert rows(same) == before


def test_a_column_that_is_to_be_widened_is_not_gone(two_into: Link) -> None:
    """A column to widen is left out of a dry run's comparison, and does not count as gone."""
    create(two_into, more=", n SMALLINT")
    two_into.source.execute("ALTER TABLE t ADD COLUMN n BIGINT", "UPDATE t SET n = 5000000000")
    two_into.target.execute("UPDATE t SET n = 7")
    options = {**SET_NULL, "on_schema_change": "widen"}
    dry_runs = (two_into.sync_one("t", options, dry_run=True), Steps(two_into, options, run_id="dry").all(dry_run=True))
    for report in (*dry_runs, two_into.sync_one("t", options)):
        assert tuple(change for change in report.schema_changes if change.startswith("set")) == FORGOTTEN
    assert two_into.target.rows("t", "id", "email", "n") == [(1, None, 5000000000), (2, None, 5000000000)]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"columns": ["a"]}, "columns leaves out columns"),
        ({"window": ["id", "1", "2"]}, "window syncs some rows"),
        ({"hasher": "a.B"}, "hasher hides"),
        ({"mode": "append"}, "mode append never changes"),
        ({"mode": "history"}, "mode history never changes"),
    ],
)
def test_options_that_do_not_go_with_it_are_refused(other: dict[str, Any], reason: str) -> None:
    """Options that could clear columns that are not gone, or only some rows, are refused; YAML's ``null`` is not the default."""
    with pytest.raises(ConfigurationError, match=f"gone_columns is set_null, and {reason}"):
        table_from_options("t", {**SET_NULL, **other})
    table_from_options("t", {"gone_columns": "keep", **other})
    with pytest.raises(ConfigurationError, match="gone_columns"):
        table_from_options("t", {"gone_columns": None})


@both_versions
def test_times_of_mysql_stay(into: Link, protocol: str) -> None:
    """A column with ON UPDATE CURRENT_TIMESTAMP keeps the source's values."""
    if into.target.dialect != "mysql":
        pytest.skip("no such columns there")
    into.protocol = protocol
    into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME)", "INSERT INTO t VALUES (1, '2024-01-01 00:00:00')")
    into.target.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, email VARCHAR(9), at DATETIME(0) ON UPDATE CURRENT_TIMESTAMP,"
        " own TIMESTAMP DEFAULT '2024-01-02 00:00:00' ON UPDATE CURRENT_TIMESTAMP)",
        "INSERT INTO t (id, email, at) VALUES (1, '1@x', '2024-01-01 00:00:00')",
    )
    assert into.sync_one("t", SET_NULL).status == "changed"
    assert into.sync_one("t", SET_NULL).status == "unchanged"


def test_a_column_that_depends_on_it_is_noticed(tmp_path: Path) -> None:
    """If a generated column that the source sends depends on a gone column, that is an error, and nothing is written."""
    with linked(f"sqlite:///{tmp_path / 'source.db'}", f"sqlite:///{tmp_path / 'target.db'}") as link:
        link.protocol = "2"
        link.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9))", "INSERT INTO t VALUES (1, '1@x')")
        link.target.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, email VARCHAR(9), a VARCHAR(9) AS (email))",
            "INSERT INTO t (id, email) VALUES (1, '1@x')",
        )
        before = rows(link)
        with pytest.raises(SyncFailed, match=r"computed from 'email'.*Drop what depends on that column"):
            link.sync_one("t", SET_NULL)
        assert rows(link) == before


@both_versions
def test_defaults_are_forgotten_in_a_first_load(into: Link, protocol: str) -> None:
    """The first rows of an empty target do not get the default of a gone column."""
    into.protocol = protocol
    into.create("CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9))")
    into.target.execute("ALTER TABLE t ADD COLUMN email VARCHAR(20) DEFAULT 'none'")
    into.source.execute("INSERT INTO t VALUES (1, 'one'), (2, 'two')")
    into.sync_one("t", SET_NULL)
    assert rows(into) == [(1, None, "one"), (2, None, "two")]
    assert outcome(into.sync_one("t", SET_NULL)) == ("unchanged", (), 0, 0, 0)


KEPT = {
    "postgresql": (
        "CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN NEW.email := coalesce(NEW.email, 0::text); RETURN NEW; END'",
        "CREATE TRIGGER act BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION act()",
    ),
    "mysql": (
        "CREATE TRIGGER act BEFORE UPDATE ON t FOR EACH ROW SET NEW.email = COALESCE(NEW.email, '0')",
        "CREATE TRIGGER new BEFORE INSERT ON t FOR EACH ROW SET NEW.email = COALESCE(NEW.email, '0')",
    ),
    "sqlite": ("CREATE TRIGGER act BEFORE UPDATE OF email ON t BEGIN SELECT RAISE(IGNORE); END",),
}


@both_versions
@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
def test_triggers_that_keep_the_values(into: Link, protocol: str, steps: bool) -> None:
    """If a trigger keeps the values of a gone column, the sync fails, nothing changes, and the report claims no cleared rows."""
    into.protocol = protocol
    create(into)
    into.target.execute(*into.target.pick(KEPT))
    into.source.execute("UPDATE t SET a = 'new' WHERE id = 1")
    before = rows(into)

    with pytest.raises((SyncFailed, TableError), match="'email' to NULL, and something in the target's database"):
        Steps(into, SET_NULL).all() if steps else into.sync_one("t", SET_NULL)

    assert rows(into) == before
