"""Engines are opened with the best driver and the right options, and errors never show a password."""

from __future__ import annotations

import sys
from typing import cast

import pytest
from sqlalchemy.pool import NullPool, StaticPool

from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.tables.connect import open_engine
from airflow_provider_sync.tables.engines import database_for


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("mysql://user:secret@localhost/shop", "mysqldb"),
        ("mariadb://user:secret@localhost/shop", "mysqldb"),
        ("mysql+pymysql://user:secret@localhost/shop", "pymysql"),
        ("postgresql://user:secret@localhost/shop", "psycopg"),
        ("postgres://user:secret@localhost/shop", "psycopg"),
        ("postgresql+psycopg2://user:secret@localhost/shop", "psycopg2"),
        ("sqlite:///shop.db", "pysqlite"),
    ],
)
def test_drivers(url: str, driver: str) -> None:
    """A URL without a driver gets the preferred one; one that names its driver keeps it."""
    engine = open_engine(url)

    assert engine.dialect.driver == driver
    assert isinstance(engine.pool, NullPool)
    assert "secret" not in repr(engine)


@pytest.mark.parametrize(
    ("url", "preferred", "driver"),
    [("mysql://localhost/shop", "MySQLdb", "pymysql"), ("postgresql://localhost/shop", "psycopg", "psycopg2")],
)
def test_second_choice(monkeypatch: pytest.MonkeyPatch, url: str, preferred: str, driver: str) -> None:
    """Where the preferred driver is missing the next one is taken."""
    monkeypatch.setitem(sys.modules, preferred, cast("None", None))

    assert open_engine(url).dialect.driver == driver


@pytest.mark.parametrize(
    ("url", "modules", "extra"),
    [
        ("mysql://u:secret@localhost/shop", ["MySQLdb", "pymysql"], r"\[mysql\]"),
        ("postgresql://u:secret@localhost/shop", ["psycopg", "psycopg2"], r"\[postgres\]"),
    ],
)
def test_missing_drivers(monkeypatch: pytest.MonkeyPatch, url: str, modules: list[str], extra: str) -> None:
    """Without any driver the error names the extra to install."""
    for module in modules:
        monkeypatch.setitem(sys.modules, module, cast("None", None))

    with pytest.raises(ConfigurationError, match=extra) as raised:
        open_engine(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["", "shop.db", "mysql//u:secret@h", "mysql://u:secret@h:port/db", "mysql:/u:secret@h"])
def test_malformed_urls(url: str) -> None:
    """A malformed URL is refused without being quoted, by its causes neither."""
    with pytest.raises(ConfigurationError, match="not a valid database URL") as raised:
        open_engine(url)
    assert raised.value.__cause__ is None
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["oracle://u:secret@h/db", "nosuch://u:secret@h/db"])
def test_other_databases(url: str) -> None:
    """Databases that are not supported are refused with those that are."""
    with pytest.raises(ConfigurationError, match=r"sqlite|SQLite") as raised:
        database_for(open_engine(url))
    assert "secret" not in str(raised.value)


def test_a_database_in_memory_stays() -> None:
    """A database in memory is the same one for every connection of its engine."""
    engine = open_engine("sqlite://")
    database = database_for(engine)
    with database.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE item (id INTEGER PRIMARY KEY)")
    with database.snapshot() as connection:
        assert database.list_tables(connection) == ["item"]

    assert isinstance(engine.pool, StaticPool)
    engine.dispose()
