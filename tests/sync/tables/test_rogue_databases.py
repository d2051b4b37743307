"""Database servers that were taken over: they get nothing of either half but the rows that are meant for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.exceptions import SyncError, SyncFailed
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import sync_tables
from tests.rogue_mysql import RogueMySQL
from tests.server.tables.served_tables import execute
from tests.server.wire import config
from tests.sync.link import linked

TABLE = "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, v VARCHAR(20))"


@pytest.fixture
def secret(tmp_path: Path) -> str:
    """Give the name of a file that nobody may have."""
    file = tmp_path / "secret"
    file.write_text("the key of everything")
    return str(file)


@pytest.mark.parametrize("driver", ["mysqldb", "pymysql"])
@pytest.mark.parametrize("word", ["SET", "SELECT", "START"])
@pytest.mark.parametrize("protocol", ["1", "2"])
def test_a_source(mariadb_url: str, driver: str, word: str, protocol: str, secret: str) -> None:
    """A rogue source database gets no file at any statement, and clients get an error."""
    execute(mariadb_url, TABLE, "INSERT INTO t VALUES (1, 'a')")
    with RogueMySQL(mariadb_url, secret, lambda statement: statement.startswith(word)) as rogue:
        url = rogue.url.replace("mysqldb", driver) + "?local_infile=1"
        with RunningServer(config(url, tables={"t": {}})) as server, linked(mariadb_url, "sqlite://") as link:
            link.target.execute(TABLE)
            with pytest.raises(SyncError), SyncClient(server.url, retries=0, protocol=protocol) as client:
                sync_tables(client, [table_from_options("t", {})], link.target.database)
            assert link.target.rows("t") == []
        assert rogue.stolen == b""
        assert not any(rogue.offers)


@pytest.mark.parametrize("rows", [0, 1], ids=["first", "difference"])
@pytest.mark.parametrize("word", ["SET", "SELECT GET_LOCK", "CREATE", "LOAD DATA", "INSERT", "COMMIT"])
@pytest.mark.parametrize("protocol", ["1", "2"])
def test_a_target(mariadb_url: str, sqlite_url: str, word: str, rows: int, protocol: str, secret: str) -> None:
    """A rogue target database gets no file at any statement of the sync."""
    execute(mariadb_url, TABLE, *["INSERT INTO t VALUES (7, 'old')"] * rows)
    with (
        RogueMySQL(mariadb_url, secret, lambda statement: statement.startswith(word)) as rogue,
        linked(sqlite_url, rogue.url) as link,
    ):
        link.protocol = protocol
        link.source.execute(TABLE, "INSERT INTO t VALUES (1, 'a')")
        if word in ("CREATE", "INSERT") and protocol == "2" and not rows:
            link.sync("t")  # all of it is loaded directly
        else:
            with pytest.raises(SyncFailed, match="asked for a file of this machine, and got none"):
                link.sync("t")
            assert rogue.asked
        assert rogue.stolen == b""
        assert rogue.offers.count(True) <= 1
