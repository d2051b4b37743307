"""What a snapshot of PostgreSQL does not show: rows of tables that were truncated, rewritten or replaced since it was taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.postgresql.database import PostgreSQLDatabase
from airflow_provider_sync.exceptions import SyncFailed, TableBusyError, TableError
from airflow_provider_sync.sync import sync_tables
from tests.databases.postgresql.databases import run
from tests.sync.link import linked
from tests.sync.tables.interrupted import Interrupted

TABLE = [
    "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v INTEGER) PARTITION BY RANGE (id)",
    "CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (100)",
    "CREATE TABLE high PARTITION OF t FOR VALUES FROM (100) TO (1000)",
    "CREATE VIEW seen AS SELECT * FROM t WHERE v > 0",
    "CREATE MATERIALIZED VIEW kept AS SELECT * FROM t",
    "INSERT INTO t SELECT i, i FROM generate_series(1, 300) i",
]
RELOADS = {
    "truncated": ["TRUNCATE t", "INSERT INTO t SELECT i, i FROM generate_series(1, 300) i"],
    "a partition truncated": ["TRUNCATE low", "INSERT INTO t SELECT i, i FROM generate_series(1, 99) i"],
    "a partition replaced": [
        "CREATE TABLE other AS SELECT * FROM low",
        "ALTER TABLE other ALTER id SET NOT NULL",
        "DROP TABLE low",
        "ALTER TABLE t ATTACH PARTITION other FOR VALUES FROM (0) TO (100)",
    ],
    "rewritten": ["ALTER TABLE low SET UNLOGGED"],
}
HARMLESS = ["UPDATE t SET v = v + 1", "CREATE INDEX later ON t (v)", "REINDEX TABLE low", "CREATE TABLE unrelated (id INTEGER)"]


def commit(database: Database, statements: list[str]) -> None:
    """Run statements in one transaction."""
    with database.connect() as connection, database.transaction(connection):
        for statement in statements:
            connection.exec_driver_sql(statement)


@pytest.mark.parametrize("name", ["t", "seen", "query"])
@pytest.mark.parametrize("reload", [*RELOADS, "nothing of that"])
def test_rows_that_a_snapshot_does_not_show(database: PostgreSQLDatabase, reload: str, name: str) -> None:
    """Missing rows of rewritten tables are a transient error, also below views; indexes and new rows are not."""
    run(database, *TABLE)
    with database.connect() as connection:
        table = database.catalog.describe(connection, "t" if name == "query" else name, views=True)
    if name == "query":
        table = msgspec.structs.replace(table, query="SELECT id, v FROM t -- all")
    with database.snapshot() as connection:
        assert database.reader.count(connection, database.catalog.describe(connection, "kept", views=True)) == 0
        commit(database, RELOADS.get(reload, HARMLESS))
        if reload in RELOADS:
            with pytest.raises(TableBusyError, match="some of its rows cannot be seen"):
                database.reader.check_snapshot(connection, table)
        else:
            database.reader.check_snapshot(connection, table)
            assert database.reader.count(connection, table) == 300
    with database.snapshot() as connection:
        database.reader.check_snapshot(connection, table)


def test_what_was_checked_stays(database: PostgreSQLDatabase) -> None:
    """Until the snapshot ends, other sessions cannot truncate or rewrite its tables."""
    run(database, *TABLE)
    with database.snapshot() as connection:
        database.reader.check_snapshot(connection, database.catalog.describe(connection, "t"))
        with pytest.raises(TableError, match="lock timeout"):
            commit(database, ["SET LOCAL lock_timeout = '50ms'", "TRUNCATE low"])


def test_nobody_waits_for_the_locks_of_other_tables(database: PostgreSQLDatabase) -> None:
    """Another session's new or rewritten table does not block readers of other tables."""
    run(database, "CREATE TABLE s (id INTEGER PRIMARY KEY)", "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    with database.connect() as other, database.transaction(other), database.snapshot() as connection:
        other.exec_driver_sql("TRUNCATE t")
        connection.exec_driver_sql("SET lock_timeout = '1s'")
        database.reader.check_snapshot(connection, database.catalog.describe(connection, "s"))


def test_a_table_that_takes_the_place_of_another(database: PostgreSQLDatabase) -> None:
    """A replaced table is a transient error, not a missing table."""
    run(database, *TABLE)
    with database.snapshot() as connection:
        database.reader.count(connection, database.catalog.describe(connection, "kept", views=True))
        commit(database, ["ALTER TABLE t RENAME TO old", "CREATE TABLE t AS SELECT * FROM old"])
        with pytest.raises(TableBusyError, match="was made or replaced"):
            database.catalog.describe(connection, "t")


@pytest.mark.parametrize("options", [{}, {"mode": "soft_delete"}])
def test_a_source_that_is_reloaded_during_a_run(postgresql_url: str, tmp_path: Path, options: dict[str, Any]) -> None:
    """Rows that the source always has are not deleted, and the next run succeeds."""
    with linked(postgresql_url, f"sqlite:///{tmp_path / 'target.db'}") as link:
        link.source.execute(*TABLE)
        options = {**options, "create_table": True}
        link.protocol = "2"
        assert link.sync_one("t", options).rows_inserted == 300
        with link.client("t") as client, Interrupted(client.url, protocol="2", retries=0) as other:
            other.interrupt(lambda _: True, 1, lambda _: commit(link.source.database, RELOADS["a partition truncated"]))
            with other.holding_snapshot(["t"]), pytest.raises(SyncFailed, match="some of its rows cannot be seen"):
                sync_tables(other, [table_from_options("t", options)], link.target.database)
        assert len(link.target.rows("t")) == 300
        assert link.sync_one("t", options).status == "unchanged"
