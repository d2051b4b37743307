"""A table that takes the place of another is never shown as it was before it had its rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.databases.mysql.database import MySQLDatabase
from airflow_provider_sync.exceptions import TableBusyError
from tests.scenario import Scenario
from tests.stuck_target import until
from tests.sync.link import linked

TABLES = [
    "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v INTEGER)",
    "CREATE TABLE prepared LIKE t",
    "CREATE VIEW seen AS SELECT * FROM t",
    "INSERT INTO t WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 300) SELECT i, i FROM n",
]
RELOAD = ["INSERT INTO prepared SELECT * FROM t", "RENAME TABLE t TO old, prepared TO t"]
WAITING = (
    "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'Waiting for table metadata lock' AND db = DATABASE()"
)


@pytest.mark.parametrize("name", ["t", "seen", "a query", "its schema's", "no table"])
@pytest.mark.parametrize("engine", ["mariadb", "mysql"])
def test_a_renewed_snapshot(request: pytest.FixtureRequest, tmp_path: Path, engine: str, name: str) -> None:
    """It shows earlier commits, and its tables cannot be replaced; names of missing tables are no error yet."""
    with linked(request.getfixturevalue(f"{engine}_url"), f"sqlite:///{tmp_path / 'target.db'}") as link:
        link.source.execute(*TABLES)
        database = link.source.database
        assert isinstance(database, MySQLDatabase)
        names = {"a query": [], "its schema's": [f"{database.engine.url.database}.t"]}.get(name, [name])
        queries = ["SELECT v % 7 FROM t -- all"] if name == "a query" else []
        with database.snapshot() as connection:
            link.source.execute(*RELOAD)
            database.reader.renew_snapshot(connection, names, queries)
            assert connection.exec_driver_sql("SELECT COUNT(*) FROM t").scalar_one() == 300
            if name != "no table":
                with pytest.raises(TableBusyError):
                    link.source.execute("SET lock_wait_timeout = 1", "RENAME TABLE t TO newer, old TO t")
        link.source.execute("RENAME TABLE t TO newer, old TO t")


@pytest.mark.parametrize("options", [{}, {"protocol": "1", "allow_empty_source": True, "max_deletes": "100%"}])
def test_a_source_that_is_replaced_while_requests_wait(mysql_url: str, tmp_path: Path, options: dict[str, Any]) -> None:
    """No row is deleted, by both versions, and the next run has the new rows."""
    with linked(mysql_url, f"sqlite:///{tmp_path / 'target.db'}") as link:
        link.source.execute(*TABLES, "INSERT INTO t VALUES (1000, 1)")
        link.target.execute("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v INTEGER)")
        options = dict(options)
        link.protocol = options.pop("protocol", "2")
        assert link.sync_one("t", options).rows_inserted == 301
        with ThreadPoolExecutor() as threads, link.source.database.connect() as holder:
            holder.exec_driver_sql("LOCK TABLES t WRITE, prepared WRITE")
            report = threads.submit(link.sync_one, "t", options)
            _wait_for_requests(link.source)
            for statement in [RELOAD[0], "DELETE FROM prepared WHERE id = 1000", RELOAD[1], "UNLOCK TABLES"]:
                holder.exec_driver_sql(statement)
            assert (report.result().rows_total, report.result().rows_deleted) == (300, 1)
        assert link.sync_one("t", options).status == "unchanged"


def _wait_for_requests(source: Scenario) -> None:
    """Wait until a request waits for a lock."""
    with source.database.connect() as connection:
        until(lambda: connection.exec_driver_sql(WAITING).scalar_one())
