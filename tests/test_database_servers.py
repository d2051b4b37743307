"""The database fixtures themselves."""

from contextlib import ExitStack

import pytest
import sqlalchemy

from airflow_provider_sync.databases.connect import open_engine
from tests.database_server import ServerMissing, administer
from tests.database_servers import MYSQL, DatabaseServers


def _connect(url: str) -> sqlalchemy.Connection:
    return open_engine(url).connect()


def test_each_engine_gives_an_empty_database(database_url: str) -> None:
    """A fixture's database exists, has no table, and allows creating one."""
    with _connect(database_url) as connection:
        assert sqlalchemy.inspect(connection).get_table_names() == []
        connection.exec_driver_sql("CREATE TABLE proof (id INTEGER PRIMARY KEY)")


def test_a_pair_is_two_databases(pair_urls: tuple[str, str]) -> None:
    """Source and target of a pair are never the same database."""
    source, target = pair_urls
    with _connect(source) as connection:
        connection.exec_driver_sql("CREATE TABLE proof (id INTEGER PRIMARY KEY)")
        connection.commit()
    with _connect(target) as connection:
        assert sqlalchemy.inspect(connection).get_table_names() == []


def test_mysql_is_as_shipped(mysql_url: str) -> None:
    """The tests' MySQL is a MySQL with a binary log, without LOAD DATA LOCAL, with caching_sha2_password."""
    with _connect(mysql_url) as connection:
        version, binary_log, local = connection.exec_driver_sql("SELECT VERSION(), @@log_bin, @@local_infile").one()
        plugin = connection.exec_driver_sql("SELECT plugin FROM mysql.user WHERE user = 'sync' LIMIT 1").scalar_one()
    assert "MariaDB" not in version
    assert (binary_log, local, plugin) == (1, 0, "caching_sha2_password")


def test_mariadb_allows_local_infile(mariadb_url: str) -> None:
    """The tests' MariaDB accepts LOAD DATA LOCAL."""
    with _connect(mariadb_url) as connection:
        assert connection.exec_driver_sql("SELECT @@local_infile").scalar_one() == 1


def test_postgresql_orders_text_as_a_language_does(postgresql_url: str) -> None:
    """The tests' PostgreSQL does not order text by bytes."""
    with _connect(postgresql_url) as connection:
        assert connection.exec_driver_sql("SELECT 'a' < 'B' AND 'B' < 'c'").scalar_one()


@pytest.mark.slow
def test_a_further_server_is_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second MySQL does not run what makes its data directory, and shares neither data nor identity with the first."""
    first, second = DatabaseServers.new_server(MYSQL), DatabaseServers.new_server(MYSQL)
    identities = []
    with ExitStack() as stack:
        for server in (first, second):
            stack.callback(server.stop)
            try:
                server.start()
            except ServerMissing as missing:
                pytest.skip(str(missing))
            with administer(server.url) as connection:
                identities.append(connection.exec_driver_sql("SELECT @@server_uuid").scalar_one())
                connection.exec_driver_sql("CREATE DATABASE proof")
            monkeypatch.setattr(second, "run", _refuse)
    assert len(set(identities)) == 2


def _refuse(command: list[str]) -> None:
    raise AssertionError(command)
