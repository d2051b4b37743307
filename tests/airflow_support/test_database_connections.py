"""Databases behind real connections of Airflow."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import make_url

from airflow_provider_sync.airflow_support.database_connections import engine_from_connection
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.registry import database_for, entry_for_url
from airflow_provider_sync.exceptions import ConfigurationError, TableError
from tests.airflow_runs import in_any_process
from tests.rogue_mysql import RogueMySQL
from tests.source_server import airflow_connection


def database_from_connection(conn_id: str) -> Database:
    """Return the database behind a connection."""
    return database_for(engine_from_connection(conn_id))


@pytest.mark.parametrize("scheme", ["", "airflow://"])
def test_every_engine(database_url: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to any engine becomes the database that it names, also when it is written as ``airflow://``."""
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", airflow_connection(database_url))
    database = database_from_connection(f"{scheme}target")
    assert type(database) is entry_for_url(make_url(database_url)).load()
    with database.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE found (name VARCHAR(20))")
        connection.exec_driver_sql("INSERT INTO found VALUES ('äöü €😀')")
        assert connection.exec_driver_sql("SELECT name FROM found").scalar() == "äöü €😀"
        assert database.catalog.list_tables(connection) == ["found"]
    database.engine.dispose()


def test_connection_as_uri(mariadb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection may be written as a URI."""
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", make_url(mariadb_url).set(drivername="mysql").render_as_string(False))
    with database_from_connection("target").connect() as connection:
        assert connection.exec_driver_sql("SELECT DATABASE()").scalar() == make_url(mariadb_url).database


@pytest.mark.parametrize("extra", [{}, {"local_infile": True}, {"local_infile": 1, "charset": "utf8mb4"}])
@pytest.mark.parametrize("word", ["SET", "SELECT", "LOAD DATA"])
def test_no_file_is_given_away(
    mariadb_url: str, extra: dict[str, object], word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database server gets no file over an Airflow connection, whatever the connection's extra allows."""
    secret = tmp_path / "secret"
    secret.write_text("the key of everything")
    with RogueMySQL(mariadb_url, str(secret), lambda statement: statement.startswith(word)) as rogue:
        monkeypatch.setenv("AIRFLOW_CONN_TARGET", json.dumps({**json.loads(airflow_connection(rogue.url)), "extra": extra}))
        database = database_from_connection("target")
        with pytest.raises(TableError, match="asked for a file of this machine"), database.connect(loading=True) as connection:  # noqa: PT012
            connection.exec_driver_sql("CREATE TABLE t (id INT PRIMARY KEY)")
            database.loader.load(connection, database.catalog.describe(connection, "t"), [[(1,)]])
        assert rogue.asked
        assert rogue.stolen == b""


def test_rows_are_loaded_by_load_data(mariadb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows go to MariaDB by LOAD DATA also over a connection of Airflow, which leaves it off by default."""
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", airflow_connection(mariadb_url))
    database = database_from_connection("target")
    with database.connect(loading=True) as connection:
        connection.exec_driver_sql("CREATE TABLE t (id INT PRIMARY KEY)")
        assert database.loader.load(connection, database.catalog.describe(connection, "t"), [[(1,), (2,)]]) == 2
        [(_, count)] = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Com_load'")
    assert int(count) == 2  # the probe and the rows


def test_what_the_connection_says_holds(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options in the extra that only the hook's own connections know are respected."""
    fields = json.loads(airflow_connection(postgresql_url))
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", json.dumps({**fields, "extra": {"application_name": "a sync"}}))
    with engine_from_connection("target").connect() as connection:
        assert connection.exec_driver_sql("SHOW application_name").scalar() == "a sync"


def test_unbuffered_cursors(mariadb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose extra asks for unbuffered cursors works."""
    fields = json.loads(airflow_connection(mariadb_url))
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", json.dumps({**fields, "extra": {"cursor": "SSCursor"}}))
    database = database_from_connection("target")
    with database.connect() as connection:
        assert database.catalog.list_tables(connection) == []


@pytest.mark.parametrize("cursor", ["DictCursor", "realdictcursor", "namedtuplecursor"])
def test_rows_by_name(database_url: str, cursor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose rows are mappings or named tuples is refused, naming the extra field."""
    fields = json.loads(airflow_connection(database_url))
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", json.dumps({**fields, "extra": {"cursor": cursor}}))
    with pytest.raises(ConfigurationError, match="without 'cursor' in its extra"):
        engine_from_connection("target")


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"client": "mariadb"}, "Unknown MySQL client name provided!"),
        ({"ssl": "{ca: /etc/ssl/ca.pem}"}, "Expecting property name"),
    ],
)
def test_extras_that_a_hook_refuses(
    extra: dict[str, str], reason: str, mariadb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the hook does not take of a connection's extra is an error of the configuration that names the connection."""
    fields = json.loads(airflow_connection(mariadb_url))
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", json.dumps({**fields, "extra": extra}))
    with pytest.raises(ConfigurationError, match=f"Connection 'target' .*{reason}"):
        database_from_connection("target").connect().__enter__()


def test_extras_that_are_not_text(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers and switches in the extra of a connection to a file apply as in a URL."""
    fields = json.loads(airflow_connection(sqlite_url))
    extra = {"timeout": 0.25, "check_same_thread": False, "isolation_level": None}
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", json.dumps({**fields, "extra": extra}))
    engine = engine_from_connection("target")
    assert dict(engine.url.query) == {"timeout": "0.25", "check_same_thread": "false"}
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_extras_that_a_file_does_not_have(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An extra that the driver does not know is refused under the name that the user gave it."""
    fields = json.loads(airflow_connection(sqlite_url))
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", json.dumps({**fields, "extra": {"detect_types": 1}}))
    with pytest.raises(ConfigurationError, match="option 'detect_types'"):
        engine_from_connection("target")


def test_sqlite_connections_change_threads(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server reads from another thread than the one that opened the connection."""
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", airflow_connection(sqlite_url))
    found = []
    with engine_from_connection("target").connect() as connection:
        thread = Thread(target=lambda: found.append(connection.exec_driver_sql("SELECT 1").scalar()))
        thread.start()
        thread.join()
    assert found == [1]


def test_database_url(sqlite_url: str) -> None:
    """A database URL needs no connection."""
    with database_from_connection(sqlite_url).connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1


@in_any_process
def test_missing_connection() -> None:
    """A connection that is not defined is an error that names it and says what to do."""
    with pytest.raises(ConfigurationError, match=r"nowhere.*Add the connection"):
        engine_from_connection("nowhere")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("http", "has the type 'http', which is not a database"),
        ("generic", "has the type 'generic', which has no hook"),
        ("trino", "has the type 'trino', whose provider is not installed. Install the provider of that type"),
    ],
)
def test_other_connections(kind: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is not to a database is refused with its type and what to do."""
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", json.dumps({"conn_type": kind, "host": "somewhere"}))
    with pytest.raises(ConfigurationError, match=message):
        engine_from_connection("target")


def test_missing_driver(mariadb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing driver is an error that names the extra to install."""
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", airflow_connection(mariadb_url))
    monkeypatch.setitem(__import__("sys").modules, "MySQLdb", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'airflow-provider-sync\[mysql\]'"):
        engine_from_connection("target")
