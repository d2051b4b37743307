"""A source for the tests of the Airflow adapters: a real server on a real socket, over SQLite and a folder."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import inspect, make_url

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.server.process.uvicorn_server import RunningServer

TOKEN = "token-of-the-source"
TABLES = ("orders", "customers", "countries")
DIRECTORIES = ("images", "invoices", "letters")
ROWS = {
    "orders": [(1, "Ärger", "1.10"), (2, "b'c", None), (3, "", "-7.00")],
    "customers": [(1, "Ann", "0.00")],
    "countries": [(1, "Österreich", None)],
}


class Source:
    """Tables of ``id``, ``name``, ``amount`` and directories of files that a server offers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "source.db"
        self.url = ""
        for name, rows in ROWS.items():
            self.execute(create_table(name))
            for row in rows:
                self.execute(f"INSERT INTO {name} VALUES (?, ?, ?)", row)
        for name in DIRECTORIES:
            self.write(name, "one.txt", f"one of {name}")
            self.write(name, "deep/two.pdf", f"two of {name}")

    @property
    def config(self) -> ServerConfig:
        """What the server offers."""
        return ServerConfig.from_dict(
            {
                "tokens": [TOKEN],
                "connections": {"source": f"sqlite:///{self.database}"},
                "tables": {name: {} for name in TABLES},
                "directories": {name: {"path": str(self.folder / name)} for name in DIRECTORIES},
            }
        )

    def execute(self, statement: str, values: tuple[object, ...] = ()) -> None:
        """Change the source's database."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(statement, values)

    def write(self, directory: str, path: str, content: str) -> None:
        """Change a file of the source."""
        file = self.folder / directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


class Target:
    """The database that an Airflow connection leads to, looked at from outside.

    :ivar conn_id: the connection
    """

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.conn_id = "target"
        self._engine = open_engine(url)
        monkeypatch.setenv("AIRFLOW_CONN_TARGET", airflow_connection(url))
        for name in TABLES:
            self.execute(create_table(name))

    def execute(self, statement: str) -> None:
        """Change the target's database."""
        with self._engine.begin() as connection:
            connection.exec_driver_sql(statement)

    def tables(self) -> list[str]:
        """Name the tables."""
        return sorted(inspect(self._engine).get_table_names())

    def rows(self, name: str) -> list[tuple[object, ...]]:
        """Return the rows of a table, amounts as text."""
        with self._engine.connect() as connection:
            rows = connection.exec_driver_sql(f"SELECT id, name, amount FROM {name} ORDER BY id").all()
        return [(key, text, None if amount is None else f"{float(amount):.2f}") for key, text, amount in rows]


def create_table(name: str) -> str:
    """Return a CREATE TABLE that every engine understands."""
    return f"CREATE TABLE {name} (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(50) NOT NULL, amount VARCHAR(20))"


def airflow_connection(url: str) -> str:
    """Write a database URL as a connection of Airflow, in JSON."""
    parsed = make_url(url)
    kind = {"postgresql": "postgres", "mariadb": "mysql"}.get(parsed.get_backend_name(), parsed.get_backend_name())
    if kind in ("sqlite", "duckdb"):
        return json.dumps({"conn_type": kind, "host": parsed.database})
    fields = {"host": parsed.host, "port": parsed.port, "login": parsed.username, "password": parsed.password}
    return json.dumps({"conn_type": kind, "schema": parsed.database, **fields})


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    """Give a source that answers under the connection ``sync_default``."""
    (tmp_path / "source").mkdir()
    source = Source(tmp_path / "source")
    with RunningServer(source.config) as server:
        source.url = server.url
        monkeypatch.setenv("AIRFLOW_CONN_SYNC_DEFAULT", json.dumps({"conn_type": "sync", "host": server.url, "password": TOKEN}))
        yield source


@pytest.fixture
def target(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Target:
    """Give an SQLite target with the source's tables, empty, under the connection ``target``."""
    return Target(sqlite_url, monkeypatch)
