"""A MySQL server gets no file of its client but the pipe of a LOAD DATA, whatever it asks for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.mysql import local_infile_mysqldb, local_infile_pymysql
from airflow_provider_sync.databases.mysql.database import MySQLDatabase
from airflow_provider_sync.exceptions import SyncError, TableError
from tests.databases.mysql.databases import run
from tests.rogue_mysql import RogueMySQL

SECRET = b"the key of everything"


@pytest.fixture(params=["mysqldb", "pymysql"])
def driver(request: pytest.FixtureRequest) -> str:
    """Name each driver."""
    return str(request.param)


@pytest.fixture
def secret(tmp_path: Path) -> str:
    """Give the name of a file that nobody may have."""
    file = tmp_path / "secret"
    file.write_bytes(SECRET)
    return str(file)


@pytest.fixture
def engines() -> Iterator[list[Engine]]:
    """Give a list whose engines are disposed of."""
    opened: list[Engine] = []
    yield opened
    for engine in opened:
        engine.dispose()


def open_through(rogue: RogueMySQL, driver: str, engines: list[Engine], options: str = "") -> MySQLDatabase:
    """Open the database behind a rogue server."""
    engines.append(open_engine(rogue.url.replace("mysqldb", driver) + options))
    return MySQLDatabase(engines[-1])


@pytest.mark.every_combination
@pytest.mark.parametrize("options", ["", "?local_infile=1", "?local_infile=1&local_infile_dir=/"])
@pytest.mark.parametrize("loading", [False, True])
@pytest.mark.parametrize("word", ["SET NAMES", "SET", "SELECT", "select 1"])
def test_no_statement_gives_a_file_away(
    mariadb_url: str, driver: str, loading: bool, word: str, options: str, secret: str, engines: list[Engine]
) -> None:
    """A request for a file in answer to any statement gets nothing, and is an error."""
    with RogueMySQL(mariadb_url, secret, lambda statement: statement.startswith(word)) as rogue:
        database = open_through(rogue, driver, engines, options)
        with pytest.raises(SyncError) as raised, database.connect(loading=loading) as connection:
            connection.exec_driver_sql("select 1")
        assert rogue.asked
        assert rogue.stolen == b""
    if not (driver == "pymysql" and word in ("SET NAMES", "SET")):
        # To the statements that pymysql sends by itself, any strange answer is "out of sync".
        assert "asked for a file of this machine, and got none" in str(raised.value)
        assert not raised.value.retryable


def test_only_connections_that_load_offer_files(mariadb_url: str, driver: str, secret: str, engines: list[Engine]) -> None:
    """A connection announces files only if it loads rows and the URL allows it."""
    with RogueMySQL(mariadb_url, secret, lambda statement: False) as rogue:
        for options, loading in (("", False), ("?local_infile=1", False), ("?local_infile=0", True), ("", True)):
            with open_through(rogue, driver, engines, options).connect(loading=loading) as connection:
                connection.exec_driver_sql("SELECT 1")
        with open_through(rogue, driver, engines).snapshot() as connection:
            connection.exec_driver_sql("SELECT 1")
        assert rogue.offers == [False, False, False, True, False]


@pytest.mark.parametrize("number", [0, 1], ids=["probe", "rows"])
def test_another_file_than_the_pipe(mariadb_url: str, driver: str, number: int, secret: str, engines: list[Engine]) -> None:
    """A server that requests another file during a load gets neither that file nor a row."""
    loads: list[str] = []

    def nth_load(statement: str) -> bool:
        if statement.startswith("LOAD DATA"):
            loads.append(statement)
        return statement.startswith("LOAD DATA") and len(loads) == number + 1

    with RogueMySQL(mariadb_url, secret, nth_load) as rogue:
        database = open_through(rogue, driver, engines)
        run(database, "CREATE TABLE t (id INT PRIMARY KEY)")
        with (
            pytest.raises(TableError, match=r"asked for a file of this machine, and got none.*secret"),
            database.connect(loading=True) as connection,
        ):
            database.loader.load(connection, database.catalog.describe(connection, "t"), [[(1,), (2,)]])
        assert len(rogue.asked) == 1
        assert rogue.stolen == b""


def test_the_pipe_again_after_the_rows(mariadb_url: str, driver: str, engines: list[Engine]) -> None:
    """The pipe is offered for one statement only, also if its descriptor is reused."""
    with RogueMySQL(mariadb_url, "/proc/self/fd/0", lambda statement: statement == "select 1") as rogue:
        database = open_through(rogue, driver, engines)
        run(database, "CREATE TABLE t (id INT PRIMARY KEY)")
        with pytest.raises(TableError, match="asked for a file"), database.connect(loading=True) as connection:  # noqa: PT012
            assert database.loader.load(connection, database.catalog.describe(connection, "t"), [[(1,), (2,)]]) == 2
            connection.exec_driver_sql("select 1")
        assert rogue.stolen == b""


def test_rows_are_loaded_by_load_data(mariadb_url: str, driver: str, engines: list[Engine]) -> None:
    """If the server allows it, rows are sent by LOAD DATA."""
    engines.append(open_engine(mariadb_url.replace("mysqldb", driver)))
    database = MySQLDatabase(engines[-1])
    run(database, "CREATE TABLE t (id INT PRIMARY KEY)")
    with database.connect(loading=True) as connection:
        assert database.loader.load(connection, database.catalog.describe(connection, "t"), [[(1,), (2,)]]) == 2
        counted = dict(tuple(row) for row in connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Com_load'"))
    assert int(counted["Com_load"]) == 2  # the probe and the rows


@pytest.mark.parametrize("missing", ["mysqldb", "pymysql"])
def test_a_driver_that_cannot_be_held_to_it(
    mariadb_url: str, missing: str, secret: str, engines: list[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that cannot be restricted sends no file: rows are inserted by statements."""
    monkeypatch.setattr(local_infile_mysqldb, "_library", lambda: None)
    monkeypatch.setattr(local_infile_pymysql, "_CONFINABLE", False)
    with RogueMySQL(mariadb_url, secret, lambda statement: statement.startswith("INSERT")) as rogue:
        database = open_through(rogue, missing, engines)
        run(database, "CREATE TABLE t (id INT PRIMARY KEY)")
        with pytest.raises(TableError, match="asked for a file"), database.connect(loading=True) as connection:
            database.loader.load(connection, database.catalog.describe(connection, "t"), [[(1,), (2,)]])
        assert (rogue.stolen, any(rogue.offers)) == (b"", False)
