"""The registry of engines: what it says of each, and that nothing else asks for an engine's name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import (
    ENGINES,
    EngineEntry,
    database_for,
    entry_for_connection_type,
    entry_for_url,
    entry_of,
    missing_file,
)
from airflow_provider_sync.exceptions import ConfigurationError, TableError

PACKAGE = Path(__file__).parents[2] / "airflow_provider_sync"

ASKED = re.compile(
    r"dialect\.name|get_backend_name|drivername|conn_type ==|\w\.family\b|import_module\(.*databases"
    r"""|[=!]= ["'](?:duckdb|mysql|mariadb|postgres|postgresql|sqlite)["']"""
)


def test_no_other_room_asks_which_engine_it_is() -> None:
    """Outside of `databases`, no line uses the name of an engine."""
    found = [
        f"{path.relative_to(PACKAGE)}:{number}: {line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if not path.is_relative_to(PACKAGE / "databases")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if ASKED.search(line)
    ]
    assert not found


@pytest.mark.parametrize("entry", ENGINES, ids=lambda entry: entry.backend)
def test_an_entry_loads_its_database(entry: EngineEntry) -> None:
    """Each entry loads the database class of its own package, which has all components."""
    if entry.backend == "duckdb":
        pytest.importorskip("duckdb")
    database = entry.load()
    assert database.__module__.startswith("airflow_provider_sync.databases.")
    assert database.__module__.endswith(".database")
    components = [name for name, kind in Database.__annotations__.items() if kind.startswith("component[")]
    assert len(components) == 10
    assert [name for name in components if name not in vars(database)] == []


def test_engines_are_imported_when_they_are_used() -> None:
    """Importing the registry imports no engine."""
    program = (
        "import sys; import airflow_provider_sync.databases.registry; import airflow_provider_sync.databases.connect;"
        "print([name for name in sys.modules if name.startswith(('airflow_provider_sync.databases.mysql',"
        " 'airflow_provider_sync.databases.postgresql', 'airflow_provider_sync.databases.sqlite',"
        " 'airflow_provider_sync.databases.duckdb'))])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("url", "table", "expected"),
    [
        ("mysql://user:secret@db/shop", "orders", "mysql://db/shop/orders"),
        ("mariadb://db:3307/shop", "other.or ders", "mysql://db:3307/other/or%20ders"),
        ("postgresql://db/shop", "orders", "postgres://db/shop/public/orders"),
        ("postgres://:secret@:5433/shop", "sales.orders", "postgres://localhost:5433/shop/sales/orders"),
        ("sqlite:////srv/shop.db", "main.orders", "file:///srv/shop.db/orders"),
        ("duckdb:////srv/shop.db", "orders", "file:///srv/shop.db/orders"),
    ],
)
def test_asset_uris(url: str, table: str, expected: str) -> None:
    """A table's asset has the form of its Airflow provider, without credentials."""
    parsed = make_url(url)
    assert entry_for_url(parsed).asset_uri(parsed, table) == expected


def test_a_memory_database_is_told_by_its_url() -> None:
    """Only SQLite and DuckDB have databases that end with their connection."""
    assert [
        url for url in ("sqlite://", "sqlite:///:memory:", "sqlite:///x.db", "duckdb://", "duckdb:///x.db") if _in_memory(url)
    ] == [
        "sqlite://",
        "sqlite:///:memory:",
        "duckdb://",
    ]
    assert not _in_memory("mysql://db")


@pytest.mark.parametrize("backend", ["sqlite", "duckdb"])
def test_a_file_that_cannot_be_looked_at_is_not_missing(tmp_path: Path, backend: str) -> None:
    """In a folder that is closed to this user nobody knows whether the file exists: it is left to the engine to say why."""
    engine = open_engine(f"{backend}:///{tmp_path}/x.db")
    assert missing_file(engine) == tmp_path / "x.db"
    # A name that is too long, because no folder is closed to the superuser.
    closed = open_engine(f"{backend}:///{tmp_path}/{'x' * 300}/x.db")
    assert missing_file(closed) is None
    with pytest.raises(TableError, match=r"unable to open|File name too long"), database_for(closed).connect():
        pass


def test_mariadb_by_a_url_of_mysql(mariadb_url: str) -> None:
    """A server is called by its real name, MySQL or MariaDB, for both URL schemes."""
    engine = create_engine(mariadb_url.replace("mariadb", "mysql", 1))
    try:
        assert entry_of(engine).title == "MySQL"
        with engine.connect():
            assert entry_of(engine).title == "MariaDB"
    finally:
        engine.dispose()


def test_other_databases_are_refused() -> None:
    """An engine or URL of another database is an error that lists the supported ones."""
    with pytest.raises(ConfigurationError, match=r"'mssql\+pyodbc'.*mysql://, mariadb://, postgresql://, sqlite:// or duckdb://"):
        entry_for_url(make_url("mssql+pyodbc://db"))
    engine = create_engine("sqlite://")
    assert entry_of(engine).title == "SQLite"
    engine.dialect.name = "mssql"
    with pytest.raises(ConfigurationError, match="MySQL, MariaDB, PostgreSQL, SQLite or DuckDB"):
        database_for(engine)


def test_connection_types() -> None:
    """An Airflow connection's type decides its engine, if it is a database."""
    found = {name: entry_for_connection_type(name) for name in ("mysql", "postgres", "sqlite", "duckdb", "http", None)}
    assert [entry.title if entry else None for entry in found.values()] == ["MySQL", "PostgreSQL", "SQLite", "DuckDB", None, None]


def _in_memory(url: str) -> bool:
    parsed = make_url(url)
    return entry_for_url(parsed).is_in_memory(parsed)
