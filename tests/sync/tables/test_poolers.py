"""A pooler before PostgreSQL: sources work behind any, targets behind one that keeps sessions, and others are refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import ConfigurationError, SyncFailed, TableBusyError
from airflow_provider_sync.sync.tables.change_check import table_differs
from airflow_provider_sync.sync.tables.steps import compare_table
from tests.database_servers import POSTGRESQL, DatabaseServers
from tests.pooler import pooler
from tests.scenario import Scenario
from tests.stuck_target import until
from tests.sync.link import Link, linked
from tests.sync.tables.test_row_security import on

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text, z timestamptz)"
ROWS = "INSERT INTO t SELECT i, 'row ' || i, to_timestamp(i * 12345.678) FROM generate_series(1, 2000) i"
CHANGES = (
    "UPDATE t SET v = v || '!' WHERE id % 500 = 1",
    "DELETE FROM t WHERE id % 500 = 2",
    "INSERT INTO t VALUES (3000, 'new', now())",
)


@pytest.fixture(params=["psycopg", pytest.param("psycopg2", marks=pytest.mark.slow)])
def driver(request: pytest.FixtureRequest) -> str:
    """Give each driver."""
    return str(request.param)


def test_a_target_behind_a_pooler_in_transaction_mode(
    database_servers: DatabaseServers, postgresql_url: str, tmp_path: Path, driver: str
) -> None:
    """It is refused before anything is written, and nothing is left behind; comparisons are allowed."""
    with between(database_servers, postgresql_url, tmp_path, driver, target="transaction") as (link, source, target):
        source.execute(TABLE, ROWS)
        target.execute("CREATE TABLE other (id int PRIMARY KEY)")
        options = table_from_options("t", {"create_table": True})
        for _ in range(3):
            with pytest.raises(SyncFailed, match="pooler in transaction mode") as failed:
                link.sync_one("t", {"create_table": True})
            assert isinstance(failed.value.__cause__, ConfigurationError)
            assert not failed.value.retryable
        with link.client("t") as client, pytest.raises(ConfigurationError, match="transaction mode"):
            compare_table(client, options, link.target.database, run_id="r")
        assert target.names() == ["other"]

        target.execute(TABLE)
        with link.client("t") as client:
            assert table_differs(client, options, link.target.database)
        with pytest.raises(SyncFailed, match="pooler in transaction mode"):
            link.sync_one("t")
        assert target.rows("t") == []
        assert target.names() == ["other", "t"]
        assert no_locks(target)


@pytest.mark.parametrize("protocol", [pytest.param("1", marks=pytest.mark.slow), "2"])
def test_a_target_behind_a_pooler_in_session_mode(
    database_servers: DatabaseServers, postgresql_url: str, tmp_path: Path, protocol: str
) -> None:
    """It is synced as without a pooler."""
    with between(database_servers, postgresql_url, tmp_path, "psycopg", target="session") as (link, source, target):
        link.protocol = protocol
        target.execute(TABLE)
        sync_changes(link, source, target)
        assert no_locks(target)


@pytest.mark.parametrize("protocol", [pytest.param("1", marks=pytest.mark.slow), "2"])
@pytest.mark.parametrize("mode", ["transaction", pytest.param("session", marks=pytest.mark.slow)])
def test_a_source_behind_a_pooler(
    database_servers: DatabaseServers, postgresql_url: str, tmp_path: Path, mode: str, protocol: str
) -> None:
    """It is read as without a pooler, and the next client of the session finds its settings unchanged."""
    with between(database_servers, postgresql_url, tmp_path, "psycopg", source=mode) as (link, source, target):
        link.protocol = protocol
        source.execute(f"ALTER DATABASE {source.database.engine.url.database} SET bytea_output = 'escape'")
        target.execute(TABLE)
        sync_changes(link, source, target)
        assert {link.source.scalar("SELECT current_setting('bytea_output')") for _ in range(8)} == {"escape"}


@pytest.mark.parametrize(
    ("settings", "setting"),
    [("max_client_conn = 1\n", "max_client_conn"), ("default_pool_size = 1\nquery_wait_timeout = 1\n", "default_pool_size")],
)
def test_a_pooler_that_has_no_connection_left(postgresql_url: str, sqlite_url: str, settings: str, setting: str) -> None:
    """A pooler with too few connections is a transient error that names the pooler's setting."""
    with pooler(postgresql_url, "session", settings=settings) as through, linked(sqlite_url, through) as link:
        link.source.execute(TABLE.replace("z timestamptz", "z text"))
        with on(postgresql_url) as target:
            target.execute(TABLE)
        with pytest.raises(SyncFailed, match=f"no connection left.*{setting} of its pooler") as failed:
            link.sync_one("t")
        assert failed.value.retryable


def test_a_pooler_that_ends_transactions(postgresql_url: str) -> None:
    """If the pooler's time limit ends the lock's transaction, the error names the limit."""
    with pooler(postgresql_url, "session", settings="idle_transaction_timeout = 1\n") as through:
        database = database_for(open_engine(through))
        with on(postgresql_url) as plain, database.exclusive(["t"], timeout=5) as lock:
            until(lambda: no_locks(plain))
            with pytest.raises(TableBusyError, match="Raise idle_transaction_timeout of the pooler"):
                lock.check()


@pytest.mark.slow
def test_poolers_in_statement_mode(database_servers: DatabaseServers, postgresql_url: str, tmp_path: Path) -> None:
    """A pooler in statement mode is a permanent error that says so, at either end."""
    for side in ("source", "target"):
        with between(database_servers, postgresql_url, tmp_path, "psycopg", **{side: "statement"}) as (link, source, target):
            for database in (source, target):
                database.execute("DROP TABLE IF EXISTS t", TABLE)
            with pytest.raises(SyncFailed, match=r"pooling mode|pooler in transaction mode") as failed:
                link.sync_one("t")
            assert not failed.value.retryable


def sync_changes(link: Link, source: Scenario, target: Scenario) -> None:
    """Sync three times, with changes between."""
    source.execute(TABLE, ROWS)
    for change in (*CHANGES, "SELECT 1"):
        assert link.sync_one("t").status == "changed"
        assert target.rows("t") == source.rows("t")
        source.execute(change)
    assert link.sync_one("t").status == "unchanged"


@contextmanager
def between(
    servers: DatabaseServers, url: str, folder: Path, driver: str, *, source: str | None = None, target: str | None = None
) -> Iterator[tuple[Link, Scenario, Scenario]]:
    """Give a link with a pooler before its source or its target, and both databases without it."""
    with servers.database(POSTGRESQL, folder) as other, pooler(url, source or target or "") as through:
        # The pooler goes to any database of the server.
        through_other = through.rsplit("/", 1)[0] + "/" + other.rsplit("/", 1)[1]
        source_url, target_url = (through if source else url), (through_other if target else other)
        with (
            linked(source_url, target_url.replace("postgresql:", f"postgresql+{driver}:")) as link,
            on(url) as plain_source,
            on(other) as plain_target,
        ):
            link.protocol = "2"
            yield link, plain_source, plain_target


def no_locks(target: Scenario) -> bool:
    """Whether nobody holds an advisory lock."""
    return (
        target.scalar(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        == 0
    )
