"""What fails after the commit is a warning: the rows are there, and the report says so."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from airflow_provider_sync.cancellation import SyncCancelled, cancelled_by_signals
from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.databases import lock_waits
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.merge.staging import PermanentStaging
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice
from tests.databases.limited_user import user_with
from tests.scenario import opened
from tests.sync.link import Link, linked
from tests.sync.tables.recorded_waits import recorded_waits
from tests.sync.tables.staging_class import NamedStaging
from tests.sync.tables.test_steps import Steps

TABLE = "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, v VARCHAR(9))"


class Stubborn(NamedStaging):
    """A user's staging class whose table cannot be dropped."""

    def drop(self, connection: Connection) -> None:
        """Drop it, and fail."""
        super().drop(connection)
        raise RuntimeError("the disk is full")


class Deadly(NamedStaging):
    """A user's staging class that has the sync's own connection killed, after the commit."""

    def create(self, connection: Connection, target: Table) -> Table:
        """Note the connection."""
        postgresql = connection.dialect.name == "postgresql"
        self._kill = "SELECT pg_terminate_backend({})" if postgresql else "KILL CONNECTION {}"
        question = "SELECT pg_backend_pid()" if postgresql else "SELECT CONNECTION_ID()"
        self._thread = connection.exec_driver_sql(question).scalar_one()
        return super().create(connection, target)

    def drop(self, connection: Connection) -> None:
        """Drop it, and kill."""
        super().drop(connection)
        connection.exec_driver_sql(self._kill.format(self._thread))


@pytest.fixture(params=["mariadb", pytest.param("mysql", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest) -> str:
    """Give the URL of a database on each of the two servers."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.mark.parametrize("protocol", ["1", "2"])
@pytest.mark.parametrize("rows", [0, 1], ids=["first", "difference"])
def test_temporary_staging_needs_no_privilege_to_drop(server: str, sqlite_url: str, protocol: str, rows: int) -> None:
    """A user who may only create temporary tables syncs with temporary staging, without a warning."""
    privileges = "SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES"
    with user_with(server, privileges) as url, linked(sqlite_url, url) as link, linked(server, server) as admin:
        link.protocol = protocol
        link.source.execute(TABLE, "INSERT INTO t VALUES (1,'a'),(2,'b'),(3,'c')")
        admin.target.execute(f"{TABLE[:-1]}, w INT, UNIQUE KEY (v))", *["INSERT INTO t (id, v) VALUES (9,'z')"] * rows)
        report = link.sync_one("t", {"staging": "temporary", "max_deletes": 5})
        assert (report.status, report.rows_inserted, report.rows_deleted) == ("changed", 3, rows)
        assert not [warning for warning in report.warnings if "drop" in warning]
        assert [row[:2] for row in link.target.rows("t")] == [(1, "a"), (2, "b"), (3, "c")]
        link.source.execute("UPDATE t SET v = 'd' WHERE id = 2")
        assert link.sync_one("t", {"staging": "temporary"}).rows_updated == 1


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_a_staging_table_that_cannot_be_dropped(server: str, sqlite_url: str, protocol: str) -> None:
    """If a user may create but not drop tables, the sync succeeds with a warning about the remaining table."""
    privileges = "SELECT, INSERT, UPDATE, DELETE, CREATE, CREATE TEMPORARY TABLES"
    with user_with(server, privileges) as url, linked(sqlite_url, url) as link:
        link.protocol = protocol
        link.source.execute(TABLE, "INSERT INTO t VALUES (1,'a'),(2,'b')")
        link.target.execute(TABLE, "INSERT INTO t VALUES (1,'z')")
        report = link.sync_one("t")
        assert (report.status, report.rows_updated, report.rows_inserted, report.error) == ("changed", 1, 1, None)
        [warning] = [warning for warning in report.warnings if "dropped" in warning]
        assert "DROP command denied" in warning
        assert "airflow-sync clean" in warning
        assert link.target.rows("t") == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_a_staging_table_that_stays_is_used_again(server: str, sqlite_url: str, protocol: str) -> None:
    """Later syncs of that user reuse the remaining table; after new columns, the error names the missing privilege."""
    privileges = "SELECT, INSERT, UPDATE, DELETE, CREATE, CREATE TEMPORARY TABLES"
    with user_with(server, privileges) as url, linked(sqlite_url, url) as link, opened(server) as admin:
        link.protocol = protocol
        link.source.execute(TABLE, "INSERT INTO t VALUES (1,'a'),(2,'b'),(3,'c')")
        link.target.execute(TABLE, "INSERT INTO t VALUES (1,'z')")
        link.sync_one("t")
        for change in ("UPDATE t SET v = 'd' WHERE id = 2", "DELETE FROM t WHERE id = 3", "INSERT INTO t VALUES (4, 'e')"):
            link.source.execute(change)
            assert link.sync_one("t").status == "changed"
            assert link.target.rows("t") == link.source.rows("t")
        assert len([name for name in admin.names() if name.startswith("_sync")]) == 1

        link.source.execute("ALTER TABLE t ADD COLUMN w INT", "UPDATE t SET w = 1")
        admin.execute("ALTER TABLE t ADD COLUMN w INT")
        with pytest.raises(SyncFailed, match=r"DROP command denied.*Grant it to the user"):
            link.sync_one("t")
        link.sync_one("t", {"staging": "temporary"})
        assert link.target.rows("t") == link.source.rows("t")


def test_what_a_run_before_left_is_told_in_words(server: str, sqlite_url: str) -> None:
    """A warning about an old staging table that may not be dropped has the wording of other errors."""
    with (
        user_with(server, "SELECT, INSERT, UPDATE, DELETE, CREATE, CREATE TEMPORARY TABLES") as url,
        linked(sqlite_url, url) as link,
    ):
        link.protocol = "2"
        link.source.execute(TABLE, "INSERT INTO t VALUES (1,'a'),(2,'b')")
        link.target.execute(TABLE, "INSERT INTO t VALUES (1,'z')")
        link.sync_one("t")
        report = link.sync_one("t")
        assert (report.status, len(report.warnings)) == ("unchanged", 1)
        assert "The database refused: DROP command denied" in report.warnings[0]
        assert "sqlalche" not in report.warnings[0]


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_steps_whose_staging_table_cannot_be_dropped(server: str, sqlite_url: str, protocol: str) -> None:
    """The last step warns of a staging table that cannot be dropped, as one task does."""
    privileges = "SELECT, INSERT, UPDATE, DELETE, CREATE, CREATE TEMPORARY TABLES"
    with user_with(server, privileges) as url, linked(sqlite_url, url) as link:
        link.protocol = protocol
        link.source.execute(TABLE, "INSERT INTO t VALUES (1,'a'),(2,'b')")
        link.target.execute(TABLE, "INSERT INTO t VALUES (1,'z')")
        steps = Steps(link)
        report = steps.merge([steps.download(part) for part in steps.compare()])
        assert (report.status, report.error) == ("changed", None)
        assert any("DROP command denied" in warning for warning in report.warnings)
        assert link.target.rows("t") == [(1, "a"), (2, "b")]


def test_steps_where_nothing_may_be_dropped(sqlite_url: str, postgresql_url: str) -> None:
    """If an event trigger forbids all drops, the warnings of the steps have its message."""
    with linked(sqlite_url, postgresql_url) as link:
        link.protocol = "2"
        link.source.execute(TABLE, "INSERT INTO t VALUES (1,'a'),(2,'b')")
        link.target.execute(
            TABLE,
            "INSERT INTO t VALUES (1,'z')",
            "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not here'; END $$",
            "CREATE EVENT TRIGGER refuse ON sql_drop EXECUTE FUNCTION refuse()",
        )
        steps = Steps(link)
        report = steps.merge([steps.download(part) for part in steps.compare()])
        assert (report.status, report.error) == ("changed", None)
        assert report.warnings
        assert all("not here" in warning for warning in report.warnings)
        assert link.target.rows("t") == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_a_staging_class_that_fails_to_drop(into: Link, protocol: str) -> None:
    """On every engine, an error of a user's class after the commit is a warning with its message."""
    into.protocol = protocol
    into.source.execute(TABLE, "INSERT INTO t VALUES (1,'a'),(2,'b')")
    into.target.execute(TABLE, "INSERT INTO t VALUES (1,'z')")
    report = into.sync_one("t", {"staging": f"{__name__}.Stubborn"})
    assert (report.status, report.rows_updated) == ("changed", 1)
    assert any("the disk is full" in warning for warning in report.warnings)
    into.assert_equal("t")


@pytest.mark.parametrize("engine", ["mariadb", "mysql", "postgresql"])
def test_a_connection_that_ends_after_the_commit(engine: str, sqlite_url: str, request: pytest.FixtureRequest) -> None:
    """A connection that is killed after the commit does not fail the sync."""
    with linked(sqlite_url, request.getfixturevalue(f"{engine}_url")) as link:
        link.source.execute(TABLE, "INSERT INTO t VALUES (1,'a'),(2,'b')")
        link.target.execute(TABLE, "INSERT INTO t VALUES (1,'z')")
        assert link.sync_one("t", {"staging": f"{__name__}.Deadly"}).status == "changed"
        assert link.target.rows("t") == [(1, "a"), (2, "b")]


def test_a_signal_while_a_staging_table_is_dropped(two_same: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal during the clean-up ends the sync, and the staging table is still dropped."""
    link = two_same
    link.create("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER)", "INSERT INTO t VALUES (1, 1), (2, 2)")
    link.source.execute("UPDATE t SET a = 3 WHERE id = 1")
    drop = PermanentStaging.drop
    ended = []

    def end_and_drop(staging: PermanentStaging, connection: Connection) -> None:
        if not ended:
            cancellation.cancel()
            ended.append(staging)
            raise SyncCancelled
        drop(staging, connection)

    monkeypatch.setattr(PermanentStaging, "drop", end_and_drop)
    with cancelled_by_signals() as cancellation, pytest.raises(SyncCancelled):
        link.sync_one("t")
    assert ended
    assert link.target.scalar("SELECT COUNT(*) FROM sqlite_master WHERE type = 'table'") == 1


BACKUP = {
    "mariadb": ["BACKUP STAGE START", "BACKUP STAGE FLUSH", "BACKUP STAGE BLOCK_DDL"],
    "mysql": ["LOCK INSTANCE FOR BACKUP"],
    "postgresql": ["BEGIN", "LOCK TABLE {} IN ACCESS SHARE MODE"],
}
"""What a backup of each server does, so that no table can be dropped."""


@pytest.mark.parametrize("engine", BACKUP)
def test_a_backup_holds_up_a_run_once(
    engine: str, sqlite_url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup that begins before the merge holds up the clean-up of all tables together for a moment, and is a warning."""
    url = request.getfixturevalue(f"{engine}_url")
    monkeypatch.setattr(lock_waits, "CLEAN_UP_WAIT", 2)
    monkeypatch.setattr(lock_waits, "ALL_CLEAN_UP_WAITS", 3)
    names = ["a", "b", "c", "d"]
    options = {name: table_from_options(name, {"max_deletes": 5}) for name in names}
    with linked(sqlite_url, url) as link, link.client(*names) as client, opened(url) as backup:
        link.protocol = "2"
        database = link.target.database
        staged = {}
        for name in names:
            link.source.execute(f"CREATE TABLE {name} (id INT PRIMARY KEY)", f"INSERT INTO {name} VALUES (1),(2),(3)")
            link.target.execute(f"CREATE TABLE {name} (id INT PRIMARY KEY)", f"INSERT INTO {name} VALUES (1),(4)")
            compared = compare_table(client, options[name], database, run_id="run 1", slices=1)
            staged[name] = (options[name], [stage_slice(client, options[name], database, part) for part in compared.slices])
        left = [name for name in link.target.names() if name.startswith("_sync")]
        assert len(left) >= len(names)
        with backup.database.connect() as connection:
            for statement in BACKUP[engine]:
                connection.exec_driver_sql(statement.format(", ".join(left)))
            with recorded_waits(link.target.database) as waits:
                reports = merge_slices(client, staged, database)
            assert waits in ([2], [2, 1])
        assert [(report.status, report.error) for report in reports] == [("changed", None)] * len(names)
        assert all(any("`airflow-sync clean` drops what is left" in text for text in report.warnings) for report in reports)
        assert any("already held up this run" in text for text in reports[-1].warnings)
        assert [link.target.rows(name) for name in names] == [[(1,), (2,), (3,)]] * len(names)
