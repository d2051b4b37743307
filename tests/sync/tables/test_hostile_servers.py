"""Servers of MySQL and MariaDB whose defaults are as unlike those of a fresh installation as they can be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from airflow_provider_sync.exceptions import ReadOnlyError, SyncFailed
from tests.database_servers import MariaDBServer, MySQLServer, Server, ServerMissing
from tests.sync.link import Link, linked
from tests.sync.tables.test_steps import Steps

DEFAULTS = (
    "--default-storage-engine=MyISAM",
    "--default-tmp-storage-engine=MEMORY",
    "--innodb-default-row-format=COMPACT",
    "--character-set-server=latin1",
    "--explicit-defaults-for-timestamp=OFF",
    "--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,NO_ZERO_DATE,HIGH_NOT_PRECEDENCE,PIPES_AS_CONCAT",
    "--autocommit=OFF",
    "--completion-type=CHAIN",
    "--transaction-isolation=SERIALIZABLE",
    "--max-allowed-packet=65536",
    "--net-buffer-length=1024",
    "--lower-case-table-names=1",
    "--max-error-count=0",
    "--group-concat-max-len=4",
    "--div-precision-increment=0",
    "--lock-wait-timeout=5",
    "--default-time-zone=+05:30",
    "--log-bin",
    "--server-id=7",
    "--character-set-filesystem=latin1",
    "--innodb-strict-mode=OFF",
)
MARIADB = ("--old-mode=", "--in-predicate-conversion-threshold=2", "--innodb-force-primary-key=1", "--alter-algorithm=COPY")
MYSQL = (
    "--sql-require-primary-key=ON",
    "--sql-generate-invisible-primary-key=ON",
    "--local-infile=ON",
    "--innodb-dedicated-server=OFF",
)

TABLE = (
    "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, v VARCHAR(40) NOT NULL, c CHAR(9), at TIMESTAMP NULL, at2 TIMESTAMP NULL,"
    " d DECIMAL(10,4), j TEXT, UNIQUE KEY (v)) ENGINE=InnoDB CHARACTER SET utf8mb4"
)
ROWS = (
    "INSERT INTO t VALUES (1, 'a\\\\b', 'x', '2024-07-01 12:00:00', NULL, 1.5, REPEAT('ä', 9000)), (2, 'b\"c', '', NULL,"
    " '2024-01-01 00:00:00', NULL, NULL), (3, '📦', NULL, NULL, NULL, -0.0001, '')"
)


class MariaDB(MariaDBServer):
    """One with these defaults."""

    def command(self) -> list[str]:
        """Return the settings."""
        kept = [option for option in super().command() if not option.startswith("--character-set-server")]
        return [*kept, *DEFAULTS, *MARIADB]


class MySQL(MySQLServer):
    """One with these defaults."""

    def initialising(self) -> list[str]:
        """Add what has to be said when the data directory is made."""
        return [*super().initialising(), "--lower-case-table-names=1"]

    def command(self) -> list[str]:
        """Return the settings."""
        return [*super().command(), *DEFAULTS, *MYSQL]


@pytest.fixture(scope="module", params=[MariaDB, pytest.param(MySQL, marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Start each server."""
    server = request.param()
    try:
        server.start()
        yield server
    except ServerMissing as missing:
        pytest.skip(str(missing))
    finally:
        server.stop()


@pytest.fixture
def link(server: Server) -> Iterator[Link]:
    """Give source and target on it."""
    admin = create_engine(server.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for name in ("source", "target"):
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")
            connection.exec_driver_sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    urls = [make_url(server.url).set(database=name).render_as_string(hide_password=False) for name in ("source", "target")]
    with linked(*urls) as link:
        yield link


@pytest.mark.parametrize("staging", ["permanent", "temporary"])
@pytest.mark.parametrize("protocol", ["1", "2"])
def test_tables_arrive_and_change(link: Link, protocol: str, staging: str) -> None:
    """Rows arrive, swap unique values, change and go, through either way of staging."""
    link.protocol = protocol
    link.create(TABLE)
    link.source.execute(ROWS)
    assert link.sync_one("t", {"staging": staging}).rows_inserted == 3
    link.assert_equal("t")
    link.source.execute(
        "UPDATE t SET v = 'z' WHERE id = 1", "UPDATE t SET v = 'a' WHERE id = 2", "UPDATE t SET v = 'b' WHERE id = 1"
    )
    link.source.execute("DELETE FROM t WHERE id = 3", "INSERT INTO t (id, v) VALUES (0, 'n')")
    link.target.execute("UPDATE t SET v = 'b' WHERE id = 2", "UPDATE t SET v = 'a' WHERE id = 1")
    report = link.sync_one("t", {"staging": staging})
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted) == (1, 2, 1)
    link.assert_equal("t")
    assert link.sync_one("t").status == "unchanged"


def test_steps(link: Link) -> None:
    """The steps do the same."""
    link.protocol = "2"
    link.create(TABLE)
    link.source.execute(ROWS)
    steps = Steps(link)
    steps.merge([steps.download(part) for part in steps.compare()])
    link.assert_equal("t")
    assert steps.compare() == []


def test_a_missing_target_is_made(link: Link) -> None:
    """A created table supports rollback, ignores server defaults, and is found in any case of its name."""
    link.protocol = "2"
    link.offered = {"T": {"table": "t"}}
    link.source.execute(TABLE, ROWS)
    report = link.sync_one("T", {"create_table": True})
    assert (report.rows_inserted, report.warnings) == (3, ())
    created = link.target.scalar(
        "SELECT CONCAT(ENGINE, ROW_FORMAT) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'target' AND TABLE_NAME = 't'"
    )
    assert created == "InnoDBDynamic"
    assert link.target.scalar("SELECT COUNT(*) FROM t WHERE at IS NULL") == 2
    link.assert_equal("t")


def test_names_that_are_reserved(link: Link) -> None:
    """Tables and columns may have reserved names."""
    link.protocol = "2"
    for name in ("order", "GROUP", "a b", "a%s", "x-y", "ümlaut", "a:b"):
        quoted = f"`{name}`"
        link.create(f"CREATE TABLE {quoted} (`key` INT NOT NULL PRIMARY KEY, {quoted} INT) ENGINE=InnoDB CHARACTER SET utf8mb4")
        link.source.execute(f"INSERT INTO {quoted} VALUES (1, 2)")
        assert link.sync_one(name).rows_inserted == 1
        link.source.execute(f"UPDATE {quoted} SET {quoted} = 3")
        assert link.sync_one(name).rows_updated == 1


@pytest.mark.parametrize("rows", [0, 1], ids=["first", "difference"])
def test_a_server_that_takes_no_writes(server: Server, link: Link, rows: int) -> None:
    """A target on a read-only replica is refused with a clear message, and nothing is written."""
    link.create(TABLE)
    link.source.execute(ROWS)
    link.target.execute(*["INSERT INTO t (id, v) VALUES (9, 'old')"] * rows)
    for host in ("localhost", "%"):
        link.target.execute(f"CREATE USER IF NOT EXISTS 'plain'@'{host}' IDENTIFIED BY 'plain'")
        link.target.execute(f"GRANT ALL ON target.* TO 'plain'@'{host}'")
    url = make_url(server.url).set(database="target", username="plain", password="plain").render_as_string(hide_password=False)
    link.target.execute("SET GLOBAL read_only = 1")
    try:
        for protocol in ("1", "2"):
            with linked(link.source_url, url) as plain:
                plain.protocol = protocol
                with pytest.raises(SyncFailed, match="It is read-only: connect to the primary") as raised:
                    plain.sync("t")
                assert not raised.value.retryable
                with pytest.raises(ReadOnlyError, match="connect to the primary"):
                    plain.target.database.check_writable()
    finally:
        link.target.execute("SET GLOBAL read_only = 0")
    link.target.database.check_writable()
    assert len(link.target.rows("t")) == rows
    link.assert_clean()


@pytest.mark.parametrize("local_infile", ["0", "1"])
def test_small_packets(link: Link, local_infile: str) -> None:
    """Statements with many keys fit the server's packets, for both ways of loading."""
    link.protocol = "2"
    link.create("CREATE TABLE t (k VARCHAR(190) NOT NULL PRIMARY KEY, v INT) ENGINE=InnoDB CHARACTER SET utf8mb4")
    for start in range(0, 3000, 100):
        rows = ", ".join(f"(REPEAT('{n:05}', 38), {n})" for n in range(start, start + 100))
        link.source.execute(f"INSERT INTO t VALUES {rows}")
    with linked(
        link.source_url, f"{link.target.database.engine.url.render_as_string(False)}?local_infile={local_infile}"
    ) as other:
        other.protocol = "2"
        assert other.sync_one("t").rows_inserted == 3000
        other.source.execute("UPDATE t SET v = -v WHERE v % 3 = 0", "DELETE FROM t WHERE v % 7 = 1")
        report = other.sync_one("t")
        assert report.rows_updated == 999
        assert report.rows_deleted == 286
        other.assert_equal("t")
