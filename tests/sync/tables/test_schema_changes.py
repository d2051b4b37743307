"""What ``on_schema_change`` does where the source has other columns than the target, on real databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.databases.schema import Row
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.tables.apply_schema_changes import following_source
from airflow_provider_sync.sync.tables.change_check import table_differs
from airflow_provider_sync.sync.tables.diff import diff_table
from airflow_provider_sync.sync.tables.doctor import diagnose_table
from airflow_provider_sync.sync.tables.schema_changes import SchemaChanges, SchemaDiffers
from tests.databases.plain_role import plain_role
from tests.sync.link import Link, linked

ADD, IGNORE, WIDEN = ({"on_schema_change": option} for option in ("add", "ignore", "widen"))


def state(link: Link) -> tuple[list[Row], object]:
    """Return the rows and the columns of the target."""
    return link.target.rows("t"), link.target.describe("t")


@pytest.mark.quick_on("mariadb", "postgresql")
def test_a_new_column_is_added(two: Link) -> None:
    """``fail`` names the option, a dry run the column, and ``add`` adds it with the type of create_table."""
    two.create("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20))", "INSERT INTO t VALUES (1, 'one'), (2, 'two')")
    two.source.execute(
        "ALTER TABLE t ADD COLUMN price DECIMAL(12,2) DEFAULT 7 NOT NULL",
        "ALTER TABLE t ADD COLUMN at {DATETIME}",
        "UPDATE t SET at = '2024-02-29 12:34:56.123456' WHERE id = 1",
        "INSERT INTO t VALUES (3, 'three', 1.25, NULL)",
    )
    before = state(two)
    with pytest.raises(SyncFailed, match=r"has no column 'price'.* on_schema_change to 'add'"):
        two.sync_one("t")
    planned = two.sync_one("t", ADD, dry_run=True)
    assert (planned.status, planned.rows_inserted, planned.rows_updated) == ("planned", 1, 0)
    assert "it also updates rows that differ only there, and they are not counted" in " ".join(planned.warnings)
    assert state(two) == before
    report = two.sync_one("t", ADD)
    assert (report.status, report.rows_inserted, report.rows_updated, report.verified) == ("changed", 1, 2, "digest")
    assert (report.schema_changes, report.warnings) == (planned.schema_changes, ())
    assert [change.split("'")[1] for change in report.schema_changes] == ["price", "at"]
    two.assert_equal("t")
    assert two.target.describe("t").column("price").nullable
    again = two.sync_one("t", ADD)
    assert (again.status, again.schema_changes) == ("unchanged", ())


def test_a_new_column_without_values_changes_the_table_alone(two_same: Link) -> None:
    """A column that is always NULL is added, and the report says that the target was changed."""
    two_same.create("CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    two_same.source.execute("ALTER TABLE t ADD COLUMN note VARCHAR(9)")
    with two_same.client("t") as client:
        assert table_differs(client, table_from_options("t", ADD), two_same.target.database)
    report = two_same.sync_one("t", ADD)
    assert (report.status, report.rows_updated, report.verified) == ("changed", 0, "digest")
    assert report.schema_changes == ("add column 'note' VARCHAR(9)",)
    with two_same.client("t") as client:
        assert not table_differs(client, table_from_options("t", ADD), two_same.target.database)
    # As long as the columns fit, following them costs no request.
    assert two_same.sync_one("t", ADD).requests == two_same.sync_one("t").requests


@pytest.mark.parametrize("mode", ["upsert", "append", "soft_delete", "history"])
def test_a_column_is_added_in_every_mode(two_same: Link, mode: str) -> None:
    """A target with kept rows gets new columns, too; columns of its mode do not count as changes."""
    two_same.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9))", "INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    options = {**ADD, "mode": mode, "create_table": True}
    two_same.sync_one("t", options)
    two_same.source.execute("ALTER TABLE t ADD COLUMN b VARCHAR(9)", "INSERT INTO t VALUES (3, 'z', 'new')")
    report = two_same.sync_one("t", options)
    assert (report.schema_changes, report.rows_inserted, report.warnings) == (("add column 'b' VARCHAR(9)",), 1, ())
    assert (3, "z", "new") in two_same.target.rows("t", "id", "a", "b")
    assert two_same.sync_one("t", options).status == "unchanged"


def test_narrow_types_are_widened(two_into: Link) -> None:
    """``widen`` gives columns types for the source's values, and keeps their other attributes; SQLite needs none."""
    two_into.source.execute(
        "CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(50), amount DECIMAL(12,3), n BIGINT, at DATETIME, day DATETIME)",
        "INSERT INTO t VALUES (10000000000, 'longer than five', 123456789.125, 5000000000, '2024-02-29 12:34:56.123456',"
        " '2024-02-29 01:00:00.000000'), (1, 'one', 1.5, 1, '2024-01-01 00:00:00.000000', '2024-01-01 00:00:00.000000')",
    )
    times = {"mysql": "DATETIME", "postgresql": "TIMESTAMP(0)", "sqlite": "DATETIME", "duckdb": "TIMESTAMP_S"}
    time, on_duckdb = two_into.target.pick(times), two_into.target.dialect == "duckdb"
    two_into.target.execute(
        f"CREATE TABLE t (id {'BIGINT' if on_duckdb else 'INTEGER'} PRIMARY KEY, name VARCHAR(5) DEFAULT 'a%b' NOT NULL,"
        f" amount DECIMAL(6,2), n SMALLINT, at {time}, day DATE)",
        "INSERT INTO t (id, amount, n, at, day) VALUES (1, 1.5, 1, '2024-01-01', '2024-01-01')",
    )
    if two_into.target.dialect == "sqlite":
        assert two_into.sync_one("t", WIDEN).schema_changes == ()
        return
    before = state(two_into)
    with pytest.raises(SyncFailed, match="on_schema_change to 'widen'"):
        two_into.sync_one("t", ADD)
    planned = two_into.sync_one("t", WIDEN, dry_run=True)
    assert (planned.status, ["not counted" in warning for warning in planned.warnings]) == ("planned", [True])
    assert state(two_into) == before
    report = two_into.sync_one("t", WIDEN)
    assert report.schema_changes == planned.schema_changes
    # DuckDB has no lengths of texts, and changes no key.
    widened = ["amount", "n", "at", "day"] if on_duckdb else ["id", "name", "amount", "n", "at", "day"]
    assert [change.split("'")[1] for change in report.schema_changes] == widened
    two_into.assert_equal("t")
    two_into.target.execute("INSERT INTO t (id) VALUES (5)")
    assert two_into.target.scalar("SELECT name FROM t WHERE id = 5") == "a%b"
    assert not two_into.target.describe("t").column("name").nullable
    two_into.target.execute("DELETE FROM t WHERE id = 5")
    again = two_into.sync_one("t", WIDEN)
    assert (again.status, again.schema_changes) == ("unchanged", ())


def test_duckdb_widens_no_table_with_indexes(tmp_path: Path) -> None:
    """With an index, or for a key column, DuckDB cannot widen a type: the error says what to do, and nothing changes."""
    with linked(f"sqlite:///{tmp_path / 'source.db'}", f"duckdb:///{tmp_path / 'target.duckdb'}") as link:
        link.protocol = "2"
        link.source.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT)", "INSERT INTO t VALUES (1, 5000000000)")
        link.target.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, n SMALLINT)", "CREATE INDEX i ON t (n)")
        before = state(link)
        with pytest.raises(SyncFailed, match=r"no column of a table with indexes \(i\), and 'n' .*Drop the indexes, sync"):
            link.sync_one("t", WIDEN)
        assert state(link) == before
        link.target.execute("DROP INDEX i")
        assert link.sync_one("t", WIDEN).schema_changes == ("widen column 'n' from SMALLINT to BIGINT",)


def test_a_value_that_is_too_long_names_the_option(two_into: Link) -> None:
    """If a wider type would hold the values, the error names ``widen``; nothing is written."""
    if two_into.target.dialect in ("sqlite", "duckdb"):
        pytest.skip("The database does not limit the length of texts")
    two_into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(50))", "INSERT INTO t VALUES (1, 'too long')")
    two_into.target.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(3))", "INSERT INTO t VALUES (1, 'old')")
    before = state(two_into)
    with pytest.raises(SyncFailed, match="wider for column 'name': set on_schema_change to 'widen'"):
        two_into.sync_one("t")
    assert state(two_into) == before


def test_a_missing_privilege_is_no_matter_of_types(postgresql_url: str, sqlite_url: str) -> None:
    """An error that is not about values does not advise to widen columns."""
    with plain_role(postgresql_url) as url, linked(sqlite_url, postgresql_url) as link, linked(sqlite_url, url) as limited:
        link.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
        link.target.execute("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (3)", "REVOKE INSERT ON t FROM PUBLIC")
        link.target.execute(f"REVOKE CREATE ON SCHEMA public FROM {make_url(url).username}")
        limited.protocol = "2"
        with pytest.raises(SyncFailed, match="permission denied for schema public") as failed:
            limited.sync_one("t", {"max_deletes": 1})
    assert "widen" not in str(failed.value)


def test_a_narrower_type_stays(two_into: Link) -> None:
    """No type is narrowed: the source's values fit, and the target's type stays."""
    two_into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(5))", "INSERT INTO t VALUES (1, 'one')")
    two_into.target.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(50))")
    before = two_into.target.describe("t")
    assert two_into.sync_one("t", WIDEN).schema_changes == ()
    assert two_into.target.describe("t") == before


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_columns_of_one_side_are_ignored(same: Link, protocol: str) -> None:
    """``ignore`` leaves out new columns and does not change gone ones, and the report names both."""
    same.protocol = protocol
    same.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(9), extra VARCHAR(9))", "INSERT INTO t VALUES (1, 'a', 'x')"
    )
    same.target.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(9), own VARCHAR(9) DEFAULT 'd')")
    same.target.execute("INSERT INTO t VALUES (1, 'old', 'mine')")
    same.source.execute("INSERT INTO t VALUES (2, 'b', 'y')")
    report = same.sync_one("t", IGNORE)
    assert (report.status, report.rows_inserted, report.rows_updated, report.schema_changes) == ("changed", 1, 1, ())
    assert same.target.rows("t") == [(1, "a", "mine"), (2, "b", "d")]
    assert any("'extra'" in warning for warning in report.warnings)
    if protocol == "2":
        assert any("'own'" in warning for warning in report.warnings)
    again = same.sync_one("t", IGNORE)
    assert (again.status, [warning for warning in again.warnings if "extra" in warning]) == (
        "unchanged",
        [warning for warning in report.warnings if "extra" in warning],
    )
    same.assert_clean()


def test_version_1_adds_nothing(same: Link) -> None:
    """With version 1, which sends no types, ``add`` is an error that says so; the target is as it was."""
    same.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, extra VARCHAR(9))", "INSERT INTO t VALUES (1, 'x')")
    same.target.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    before = state(same)
    with pytest.raises(SyncFailed, match=r"has no column 'extra'.*on_schema_change: ignore.*Version 1 of the protocol sends no"):
        same.sync_one("t", ADD)
    assert state(same) == before


def test_a_column_that_may_have_been_renamed_is_refused(two_same: Link) -> None:
    """A new column in place of a gone one is an error that names ``renames``, which then works; nothing changes."""
    two_same.create("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(9), n INTEGER)", "INSERT INTO t VALUES (1, 'a', 1)")
    two_same.source.execute("ALTER TABLE t RENAME COLUMN name TO title")
    before = state(two_same)
    with pytest.raises(SyncFailed, match=r"'title' where the target has 'name'.* 'renames' \(title: name\)"):
        two_same.sync_one("t", ADD)
    assert state(two_same) == before
    assert two_same.sync_one("t", {**ADD, "renames": {"title": "name"}}).status == "unchanged"
    two_same.target.execute("ALTER TABLE t ADD COLUMN title VARCHAR(9)")
    report = two_same.sync_one("t", ADD)
    assert (report.rows_updated, "'name'" in report.warnings[0]) == (1, True)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        pytest.param("title, n", "name, own, n", id="beside a column that only the target has"),
        pytest.param("price, title, n", "name, n", id="beside a column that is new"),
        pytest.param("title, kind, n", "name, sort, n", id="two at once"),
    ],
)
def test_a_column_that_may_have_been_renamed_among_others_is_refused(two_same: Link, source: str, target: str) -> None:
    """Other columns of one side do not hide a possible rename; nothing changes."""
    types = {"n": "INTEGER", "own": "INTEGER", "price": "DECIMAL(9,2)"}
    for side, names in ((two_same.source, source), (two_same.target, target)):
        columns = [f"{name} {types.get(name, 'VARCHAR(9)')}" for name in names.split(", ")]
        side.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {', '.join(columns)})")
    two_same.source.execute("INSERT INTO t (id) VALUES (1)")
    before = state(two_same)
    with pytest.raises(SyncFailed, match=r"'title' where the target has 'name'.* 'renames' \(title: name\)"):
        two_same.sync_one("t", ADD)
    assert state(two_same) == before


def test_a_new_column_of_the_key_is_refused(two_same: Link) -> None:
    """A key column that the target lacks is never added; nothing changes."""
    two_same.source.execute("CREATE TABLE t (id INTEGER, part INTEGER, PRIMARY KEY (id, part))", "INSERT INTO t VALUES (1, 1)")
    two_same.target.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    before = state(two_same)
    with pytest.raises(SyncFailed, match="'part', which is part of the source's key"):
        two_same.sync_one("t", ADD)
    assert state(two_same) == before


def test_a_column_that_is_gone_and_required_is_refused(two_into: Link) -> None:
    """A NOT NULL column that the source lost is an error for new rows, and nothing is written."""
    two_into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    two_into.target.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, own INTEGER NOT NULL)")
    before = state(two_into)
    with pytest.raises(SyncFailed, match="column 'own' is NOT NULL without a default"):
        two_into.sync_one("t", ADD)
    assert state(two_into) == before


@pytest.mark.parametrize("engine", ["mariadb", "mysql", "postgresql"])
def test_what_the_database_refuses_is_an_error(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine: str
) -> None:
    """If other objects depend on a column to widen, the error says what to do, and no column is added."""
    with linked(f"sqlite:///{tmp_path_factory.mktemp('source') / 's.db'}", request.getfixturevalue(f"{engine}_url")) as link:
        link.protocol = "2"
        link.source.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n BIGINT, more VARCHAR(9))", "INSERT INTO t VALUES (1, 5000000000, 'x')"
        )
        link.target.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, n INTEGER, UNIQUE (n))")
        link.target.execute(
            "CREATE VIEW v AS SELECT n FROM t"
            if engine == "postgresql"
            else "CREATE TABLE child (n INTEGER, FOREIGN KEY (n) REFERENCES t (n))"
        )
        before = state(link)
        with pytest.raises(
            SyncFailed, match=r"its columns could not be changed .*'n'.* Nothing was changed\. .*on_schema_change"
        ):
            link.sync_one("t", WIDEN)
        assert state(link) == before
        link.assert_clean()


def test_a_sync_that_fails_afterwards_says_what_it_changed(two_same: Link) -> None:
    """After a guard stopped the sync, an added column stays and is in the report; no row is changed."""
    two_same.create("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    two_same.target.execute("INSERT INTO t VALUES (1)")
    two_same.source.execute("ALTER TABLE t ADD COLUMN a VARCHAR(9)")
    with pytest.raises(SyncFailed, match="allow_empty_source") as failure:
        two_same.sync_one("t", ADD)
    (report,) = failure.value.reports
    assert isinstance(report, TableReport)
    assert report.schema_changes == ("add column 'a' VARCHAR(9)",)
    assert two_same.target.rows("t") == [(1, None)]


def test_columns_that_change_each_time_end_the_sync(two_same: Link) -> None:
    """A source whose columns change each time is an error after a few tries."""
    asked = []

    def adapt(target: int, changes: SchemaChanges) -> int:
        asked.append(changes)
        return target

    def work(_: int) -> None:
        raise SchemaDiffers("other columns", SchemaChanges())

    with pytest.raises(SchemaDiffers, match="other columns"):
        following_source(1, adapt, work)  # type: ignore[arg-type]  # no target is needed
    assert len(asked) == 3


def test_diff_and_doctor_say_what_a_run_would_change(two_same: Link) -> None:
    """Both name the new column and change nothing; with ``ignore``, a left-out column is no difference."""
    two_same.create("CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9))", "INSERT INTO t VALUES (1, 'x')")
    two_same.source.execute("ALTER TABLE t ADD COLUMN b VARCHAR(9)")
    before = state(two_same)
    database = two_same.target.database
    with two_same.client("t") as client:
        found = diff_table(client, table_from_options("t", ADD), database)
        assert (found.report.status, found.report.schema_changes) == ("planned", ("add column 'b' VARCHAR(9)",))
        assert ["not counted" in warning for warning in found.report.warnings] == [True]
        assert "A run would add column 'b' VARCHAR(9)." in diagnose_table(client, table_from_options("t", ADD), database).notes
        ignored = diff_table(client, table_from_options("t", IGNORE), database)
        assert (ignored.report.status, "'b'" in ignored.report.warnings[0]) == ("unchanged", True)
        diagnosed = diagnose_table(client, table_from_options("t", IGNORE), database)
        assert not diagnosed.differs
        assert "A run leaves out column 'b', which only the source has." in diagnosed.notes
    assert state(two_same) == before


@pytest.mark.parametrize("mode", ["soft_delete", "history"])
def test_a_new_timestamp_beside_the_columns_of_a_mode_is_added(two_same: Link, mode: str) -> None:
    """The target's time columns of a mode do not count as renamed columns of the source."""
    two_same.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO t VALUES (1, 1)")
    options = {**ADD, "mode": mode, "create_table": True}
    two_same.sync_one("t", options)
    two_same.source.execute("ALTER TABLE t ADD COLUMN day {DATETIME}")
    report = two_same.sync_one("t", options)
    assert [change.split(" ")[:3] for change in report.schema_changes] == [["add", "column", "'day'"]]
