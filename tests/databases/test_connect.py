"""Engines are opened with the best driver and the right options, and errors never show a password."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import make_url
from sqlalchemy.pool import NullPool, StaticPool

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import ConfigurationError, TableError
from tests.database_servers import MARIADB, MYSQL
from tests.engines import on_engines
from tests.scenario import opened


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
    """A URL without a driver gets the preferred one; a named driver is kept."""
    engine = open_engine(url)

    assert engine.dialect.driver == driver
    assert isinstance(engine.pool, NullPool)
    assert "secret" not in repr(engine)


def test_a_password_with_an_at_sign() -> None:
    """A password that is not percent-encoded is an error that says so, before a host name is looked up."""
    with pytest.raises(ConfigurationError, match="as %40") as raised:
        open_engine("postgresql://user:secret@word@localhost/shop")

    assert "word" not in str(raised.value).replace("password", "")


@pytest.mark.parametrize(
    ("url", "preferred", "driver"),
    [("mysql://localhost/shop", "MySQLdb", "pymysql"), ("postgresql://localhost/shop", "psycopg", "psycopg2")],
)
def test_second_choice(monkeypatch: pytest.MonkeyPatch, url: str, preferred: str, driver: str) -> None:
    """If the preferred driver is missing, the next one is used."""
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
    """A malformed URL is refused without being quoted, also in the causes."""
    with pytest.raises(ConfigurationError, match="not a valid database URL") as raised:
        open_engine(url)
    assert raised.value.__cause__ is None
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["oracle://u:secret@h/db", "nosuch://u:secret@h/db"])
def test_other_databases(url: str) -> None:
    """Unsupported databases are refused with the supported ones."""
    with pytest.raises(ConfigurationError, match=r"sqlite|SQLite") as raised:
        database_for(open_engine(url))
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["sqlite+aiosqlite:///shop.db", "mysql+aiomysql://u:secret@h/db", "postgresql+asyncpg://u:secret@h/db"]
)
def test_drivers_of_asyncio(url: str) -> None:
    """An asyncio driver, which Airflow's own database may have, is refused as such."""
    pytest.importorskip(url.partition("+")[2].partition(":")[0])
    with pytest.raises(ConfigurationError, match=r"for asyncio.*Leave it out: \w+://") as raised:
        open_engine(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("driver", ["mysqldb", "pymysql"])
def test_texts_of_mysql_are_texts(mariadb_url: str, driver: str) -> None:
    """use_unicode=0 in a URL, from old manuals, changes no value."""
    url = make_url(mariadb_url).set(drivername=f"mysql+{driver}").update_query_dict({"charset": "utf8", "use_unicode": "0"})
    with opened(url.render_as_string(hide_password=False)) as scenario:
        scenario.execute("CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(9))", "INSERT INTO item VALUES (1, 'Ärger')")
        assert scenario.rows("item") == [(1, "Ärger")]


def test_a_database_in_memory_stays() -> None:
    """A database in memory is the same one for every connection of its engine."""
    engine = open_engine("sqlite://")
    database = database_for(engine)
    with database.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE item (id INTEGER PRIMARY KEY)")
    with database.snapshot() as connection:
        assert database.catalog.list_tables(connection) == ["item"]

    assert isinstance(engine.pool, StaticPool)
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "option"),
    [
        ("mysql+mysqldb://u:secret@127.0.0.1:1/shop?nope=1&charset=utf8mb4", "nope"),
        ("mysql+mysqldb://u:secret@127.0.0.1:1/shop?connect_timeout=soon", "connect_timeout"),
        ("mysql+mysqldb://u:secret@127.0.0.1:1/shop?ssl_mode=SURE", "ssl_mode"),
        ("mysql+pymysql://u:secret@127.0.0.1:1/shop?nope=1", "nope"),
        ("mysql+pymysql://u:secret@127.0.0.1:1/shop?ssl_ca=/no/secret.pem", "ssl_ca"),
        ("mysql+pymysql://u:secret@127.0.0.1:1/shop?ssl_ca=/dev/null", "ssl_ca"),
        ("mysql+pymysql://u:secret@127.0.0.1:1/shop?read_timeout=soon", "read_timeout"),
        ("mysql+pymysql://u:secret@127.0.0.1:1/shop?ssl=secret", "ssl"),
        ("mysql+mysqldb://u:secret@127.0.0.1:1/shop?connect_timeout=99999999999", "connect_timeout"),
        ("mysql+pymysql://u:secret@127.0.0.1:1/shop?cursorclass=DictCursor", "cursorclass"),
        ("mysql+pymysql://u:secret@127.0.0.1:1/shop?compress=1", "compress"),
        ("mysql+pymysql://u:secret@127.0.0.1:1/shop?defer_connect=true", "defer_connect"),
        ("mysql+pymysql://u:secret@127.0.0.1:1/shop?bind_address=192.0.2.1&charset=utf8mb4", "bind_address"),
        ("postgresql+psycopg://u:secret@127.0.0.1:1/shop?nope=1", "nope"),
        ("postgresql+psycopg://u:secret@127.0.0.1:1/shop?connect_timeout=soon", "connect_timeout"),
        ("postgresql+psycopg://u:secret@127.0.0.1:1/shop?sslmode=sure", "sslmode"),
        ("postgresql+psycopg://u:secret@127.0.0.1:1/shop?prepare_threshold=soon", "prepare_threshold"),
        ("postgresql+psycopg://u:secret@127.0.0.1:1/shop?row_factory=dict_row", "row_factory"),
        ("postgresql+psycopg://u:secret@127.0.0.1:1/shop?port=soon", "port"),
        ("postgresql+psycopg://u:secret@127.0.0.1:1/shop?service=nope", "service"),
        ("postgresql+psycopg://u:secret@127.0.0.1:1/shop?hostaddr=nonsense", "hostaddr"),
        ("postgresql+psycopg://u:secret@127.0.0.1:1/shop?gssencmode=require", "gssencmode"),
        ("postgresql+psycopg://u:secret@127.0.0.1:1/shop?replication=database", "replication"),
        ("postgresql+psycopg2://u:secret@127.0.0.1:1/shop?service=nope", "service"),
        ("postgresql+psycopg2://u:secret@127.0.0.1:1/shop?nope=1", "nope"),
        ("postgresql+psycopg2://u:secret@127.0.0.1:1/shop?sslmode=sure", "sslmode"),
        ("sqlite:///secret.db?nope=1", "nope"),
        ("sqlite:///secret.db?detect_types=3", "detect_types"),
        ("sqlite:///secret.db?timeout=soon", "timeout"),
        ("duckdb:///secret.db?threads=0", "threads"),
        ("duckdb:///secret.db?threads=many", "threads"),
        ("duckdb:///secret.db?threads=1&threads=2", "threads"),
        ("duckdb:///secret.db?memory_limit=much", "memory_limit"),
        ("duckdb:///secret.db?memory_limit=0&threads=1", "memory_limit"),
        ("duckdb:///secret.db?read_only=maybe", "read_only"),
    ],
)
def test_options_that_a_driver_does_not_take(url: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown option of a URL, or a wrong value, is an error that names it, without the password."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=f"option '{option}'") as raised, database_for(open_engine(url)).connect():
        pytest.fail("connected")
    assert "secret" not in str(raised.value)
    assert not raised.value.retryable
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize(
    ("option", "value"), [("options", "garbage"), ("options", "-c"), ("options", "-c nope=1"), ("channel_binding", "require")]
)
def test_options_that_a_postgresql_server_does_not_take(postgresql_url: str, driver: str, option: str, value: str) -> None:
    """An option that the PostgreSQL server refuses is named, too."""
    url = make_url(postgresql_url).set(drivername=f"postgresql+{driver}", query={option: value})
    database = database_for(open_engine(url.render_as_string(hide_password=False)))
    with pytest.raises(ConfigurationError, match=f"option '{option}'") as raised, database.connect():
        pytest.fail("connected")
    assert not raised.value.retryable


@on_engines(MARIADB, MYSQL)
@pytest.mark.parametrize("driver", ["mysqldb", "pymysql"])
@pytest.mark.parametrize("option", ["charset", "collation", "sql_mode"])
def test_options_that_a_mysql_server_does_not_take(database_url: str, driver: str, option: str) -> None:
    """An option that MySQL or MariaDB refuses is named, too."""
    url = make_url(database_url).set(drivername=f"mysql+{driver}", query={option: "nope"})
    database = database_for(open_engine(url.render_as_string(hide_password=False)))
    with pytest.raises(ConfigurationError, match=f"option '{option}'"), database.connect():
        pytest.fail("connected")


@on_engines(MYSQL)
@pytest.mark.parametrize("option", ["ssl_ca", "ssl_cert"])
def test_tls_of_mysqlclient_that_lacks_a_file(database_url: str, option: str) -> None:
    """A missing TLS file is a permanent error about TLS."""
    url = make_url(database_url).set(drivername="mysql+mysqldb", query={option: "/no/file.pem"})
    database = database_for(open_engine(url.render_as_string(hide_password=False)))
    with pytest.raises(TableError, match=r"No TLS .* options of the URL that begin with ssl"), database.connect():
        pytest.fail("connected")


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_tls_that_postgresql_does_not_have(postgresql_url: str, driver: str) -> None:
    """A connection without the TLS that its URL requires is a permanent error that names the options."""
    url = make_url(postgresql_url).set(drivername=f"postgresql+{driver}", query={"sslmode": "require"})
    database = database_for(open_engine(url.render_as_string(hide_password=False)))
    with pytest.raises(TableError, match=r"No TLS to PostgreSQL: .* Check sslmode and sslrootcert") as raised, database.connect():
        pytest.fail("connected")
    assert not raised.value.retryable


@pytest.mark.parametrize("threshold", ["0", "none"])
def test_prepared_statements_of_postgresql(postgresql_url: str, threshold: str) -> None:
    """The limit of psycopg for prepared statements is a number, or never, as poolers may need it."""
    database = database_for(open_engine(f"{postgresql_url}{'&' if '?' in postgresql_url else '?'}prepare_threshold={threshold}"))
    with database.connect() as connection:
        assert [connection.exec_driver_sql("SELECT 1 + %s", (1,)).scalar() for _ in range(7)] == [2] * 7


def test_options_that_a_driver_takes(tmp_path: Path) -> None:
    """Options reach the driver, including those of SQLite's own URLs."""
    database = database_for(open_engine(f"sqlite:///file:{tmp_path / 'a.db'}?uri=true&mode=memory&timeout=3"))
    with database.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    assert list(tmp_path.iterdir()) == []
