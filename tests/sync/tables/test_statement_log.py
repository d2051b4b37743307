"""Targets whose server logs statements instead of rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from tests.database_servers import PASSWORD, MariaDBServer, MySQLServer, Server, ServerMissing
from tests.sync.link import linked
from tests.sync.tables.test_steps import Steps

OPTIONS = ("--log-bin", "--binlog-format=STATEMENT", "--server-id=7")


class MariaDB(MariaDBServer):
    """One that logs statements."""

    def command(self) -> list[str]:
        """Return the settings."""
        return [*super().command(), *OPTIONS]


class MySQL(MySQLServer):
    """One that logs statements."""

    def command(self) -> list[str]:
        """Return the settings."""
        return [*super().command(), *OPTIONS]


@pytest.fixture(scope="module", params=[MariaDB, pytest.param(MySQL, marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Start each server, with a user who may not change how it logs."""
    server = request.param()
    try:
        server.start()
        engine = create_engine(server.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for host in ("localhost", "%%"):
                connection.exec_driver_sql(f"CREATE USER 'plain'@'{host}' IDENTIFIED BY '{PASSWORD}'")
                connection.exec_driver_sql(f"GRANT ALL ON target.* TO 'plain'@'{host}'")
        yield server
    except ServerMissing as missing:
        pytest.skip(str(missing))
    finally:
        server.stop()


@pytest.mark.parametrize("protocol", ["1", "2"])
@pytest.mark.parametrize("user", ["sync", "plain"])
def test_a_server_that_logs_statements(server: Server, sqlite_url: str, user: str, protocol: str) -> None:
    """Rows are synced in one task and in steps, whether the user may switch to row logging or not."""
    admin = create_engine(server.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE IF EXISTS target")
        connection.exec_driver_sql("CREATE DATABASE target CHARACTER SET utf8mb4")
    url = make_url(server.url).set(database="target", username=user).render_as_string(hide_password=False)
    with linked(sqlite_url, url) as link:
        link.protocol = protocol
        table = "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, v VARCHAR(9) NOT NULL, UNIQUE (v))"
        link.source.execute(table, "INSERT INTO t VALUES (1,'a'),(2,'b'),(3,'c')")
        link.target.execute(table)
        assert link.sync_one("t").rows_inserted == 3
        link.source.execute("UPDATE t SET v = 'x' WHERE id = 1", "UPDATE t SET v = 'a' WHERE id = 2")
        link.source.execute("UPDATE t SET v = 'b' WHERE id = 1", "DELETE FROM t WHERE id = 3", "INSERT INTO t VALUES (4, 'd')")
        report = link.sync_one("t")
        assert (report.rows_inserted, report.rows_updated, report.rows_deleted, report.warnings) == (1, 2, 1, ())
        link.assert_equal("t")
        link.source.execute("UPDATE t SET v = 'e' WHERE id = 4")
        steps = Steps(link)
        assert steps.merge([steps.download(part) for part in steps.compare()]).rows_updated == 1
        link.assert_equal("t")
        with link.target.database.connect() as connection:
            found = connection.exec_driver_sql("SELECT @@SESSION.binlog_format").scalar()
        assert found == ("ROW" if user == "sync" else "STATEMENT")
