"""A TIMESTAMP is the same moment on both sides, in whatever time zone the source's database has its sessions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, make_url

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ServerConfig, table_from_options
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.databases.version1_hash import hash_table
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import diagnose_table, diff_table, sync_tables, table_differs
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice
from airflow_provider_sync.time_zones import time_zone_named
from tests.database_servers import MARIADB, MYSQL, POSTGRESQL, DatabaseServers
from tests.scenario import Scenario
from tests.sync.tables.paging_server import PagingServer, paging_server

CREATE = "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, at TIMESTAMP NULL DEFAULT NULL, name VARCHAR(50))"
CREATE_TARGET = {
    POSTGRESQL: "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, at TIMESTAMPTZ(0), name VARCHAR(50))",
    "sqlite": "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, at TIMESTAMP, name VARCHAR(50))",
}
# Moments in UTC, summer and winter.
ROWS = [(1, "2024-07-01 11:00:00", "summer"), (2, "2024-01-01 11:00:00", "winter"), (3, None, "never")]


@contextmanager
def sessions_in(scenario: Scenario, zone: str) -> Iterator[None]:
    """Have a database give a time zone to sessions that set none."""
    if scenario.dialect == "postgresql":
        scenario.execute(f"ALTER DATABASE {make_url(str(scenario.database.engine.url)).database} SET TimeZone = '{zone}'")
        yield
        return
    scenario.execute(f"SET GLOBAL time_zone = '{zone}'")
    try:
        yield
    finally:
        scenario.execute("SET GLOBAL time_zone = 'SYSTEM'")


def opened(url: str, rows: list[tuple[Any, ...]] | None = None) -> Scenario:
    """Open a database and make the table in it; times are given in UTC."""
    scenario = Scenario(database_for(open_engine(url)))
    scenario.execute(CREATE_TARGET.get(scenario.dialect, CREATE))
    fill(scenario, rows or [])
    return scenario


def fill(scenario: Scenario, rows: list[tuple[Any, ...]]) -> None:
    """Insert rows whose times are in UTC."""
    for row in rows:
        scenario.execute(f"INSERT INTO t VALUES {row!r}".replace("None", "NULL"))


@pytest.fixture
def source(mariadb_url: str) -> Iterator[tuple[Scenario, PagingServer]]:
    """Give an existing server beside a MariaDB server with its sessions in +01:00."""
    scenario = opened(mariadb_url, ROWS)
    with sessions_in(scenario, "+01:00"), paging_server(mariadb_url) as server:
        yield scenario, server
    scenario.database.engine.dispose()


@pytest.fixture(params=[MYSQL, POSTGRESQL])
def target(request: pytest.FixtureRequest, database_servers: DatabaseServers, tmp_path: Path) -> Iterator[Scenario]:
    """Give an empty target of each engine that has instants."""
    with database_servers.database(request.param, tmp_path) as url:
        scenario = opened(url)
        yield scenario
        scenario.database.engine.dispose()


@pytest.fixture
def mariadb_target(database_servers: DatabaseServers, tmp_path: Path) -> Iterator[Scenario]:
    """Give an empty target on the source's own MariaDB server, which has its sessions in +01:00, too."""
    with database_servers.database(MARIADB, tmp_path) as url:
        scenario = opened(url)
        yield scenario
        scenario.database.engine.dispose()


@pytest.fixture
def postgresql_target(postgresql_url: str) -> Iterator[Scenario]:
    """Give an empty target on PostgreSQL, whose sessions are in UTC."""
    scenario = opened(postgresql_url)
    scenario.execute(f"ALTER DATABASE {make_url(postgresql_url).database} SET TimeZone = 'UTC'")
    yield scenario
    scenario.database.engine.dispose()


def sync(url: str, target: Scenario, time_zone: str | None = None, **options: Any) -> TableReport:
    """Sync in one go by version 1."""
    with SyncClient(url, retries=0, protocol=1, time_zone=time_zone) as client:
        return sync_tables(client, [table_from_options("t", options)], target.database)[0]


def sync_in_steps(url: str, target: Scenario, time_zone: str | None = None) -> TableReport:
    """Sync in steps by version 1."""
    table = table_from_options("t", {})
    with SyncClient(url, retries=0, protocol=1, time_zone=time_zone) as client:
        compared = compare_table(client, table, target.database, run_id="run")
        if not compared.slices:
            return compared.report
        staged = [stage_slice(client, table, target.database, table_slice) for table_slice in compared.slices]
        return merge_slices(client, {"t": (table, staged)}, target.database)[0]


def about_zones(report: TableReport) -> list[str]:
    """Return what the report says about time zones."""
    return [warning for warning in report.warnings if "time_zone" in warning]


@pytest.mark.parametrize("way", [sync, sync_in_steps])
def test_the_time_zone_of_the_source_is_configured(source: tuple[Scenario, PagingServer], target: Scenario, way: Any) -> None:
    """With ``time_zone``, every moment arrives correctly, and is equal the next time, without a warning."""
    scenario, server = source
    assert about_zones(way(server.url, target, "+01:00")) == []
    assert target.rows("t") == scenario.rows("t") == sorted(ROWS)
    again = way(server.url, target, "+01:00")
    assert (again.status, again.verified, again.warnings) == ("unchanged", "hash", ())
    scenario.execute("UPDATE t SET at = '2024-07-02 00:30:00' WHERE id = 3")
    changed = way(server.url, target, "+01:00")
    assert (changed.rows_updated, changed.verified) == (1, "hash")
    assert target.rows("t") == scenario.rows("t")


def test_our_server_hashes_as_an_existing_one(source: tuple[Scenario, PagingServer], mariadb_url: str) -> None:
    """In its database's zone, our server has the hash of an existing one, computed in either way."""
    scenario, existing = source
    config = ServerConfig.from_dict({"connections": {"source": mariadb_url}, "tables": {"t": {}}, "time_zone": "+01:00"})
    with RunningServer(config) as server, SyncClient(server.url) as ours, SyncClient(existing.url) as theirs:
        assert ours.get_table_hash("t") == theirs.get_table_hash("t")
    with scenario.database.snapshot() as connection:
        table = scenario.database.catalog.describe(connection, "t")
        for zone in ("+01:00", "Africa/Algiers"):
            with SyncClient(existing.url) as theirs:
                hashed = hash_table(scenario.database, connection, table, zone=time_zone_named(zone))
                assert hashed == theirs.get_table_hash("t")


def test_an_existing_pair_in_one_zone_needs_no_option(source: tuple[Scenario, PagingServer], mariadb_target: Scenario) -> None:
    """If both databases have one zone, an empty target gets correct moments without an option, with a warning."""
    scenario, server = source
    report = sync(server.url, mariadb_target)
    assert mariadb_target.rows("t") == scenario.rows("t")
    (warning,) = about_zones(report)
    assert "at of 't'" in warning
    assert "+01:00" in warning
    again = sync(server.url, mariadb_target)
    assert again.status == "unchanged"
    assert about_zones(again)


def test_a_database_of_postgresql_in_its_own_zone(source: tuple[Scenario, PagingServer], postgresql_target: Scenario) -> None:
    """The default zone of a PostgreSQL database is used if no other is known."""
    scenario, server = source
    with sessions_in(postgresql_target, "Europe/Vienna"):
        sync(server.url, postgresql_target)
    # Summer in Vienna is two hours from UTC, which the source is not.
    assert postgresql_target.rows("t")[0] == (1, "2024-07-01 10:00:00", "summer")
    assert postgresql_target.rows("t")[1] == scenario.rows("t")[1]


@pytest.mark.parametrize("zone", ["<+0545>-05:45", "localtime"])
def test_a_default_zone_that_is_not_known(source: tuple[Scenario, PagingServer], postgresql_target: Scenario, zone: str) -> None:
    """Where the zone of the target's sessions has no name that is known here, the report does not call UTC their zone."""
    _, server = source
    with sessions_in(postgresql_target, zone):
        (warning,) = about_zones(sync(server.url, postgresql_target))
    assert "UTC was taken, since the one that sessions of the target's database have by default is not known" in warning


@pytest.mark.parametrize("way", [sync, sync_in_steps])
def test_rows_that_are_there_show_the_zone(source: tuple[Scenario, PagingServer], mariadb_target: Scenario, way: Any) -> None:
    """If the target's rows agree with the source's by another zone, that zone is used for all rows."""
    scenario, server = source
    fill(mariadb_target, ROWS)
    scenario.execute("INSERT INTO t VALUES (4, '2024-07-04 11:00:00', 'new')")
    mariadb_target.execute("SET GLOBAL time_zone = '+05:00'")  # its own sessions; those of the source stay as they are
    event.listen(server.engine, "connect", lambda driver, _: driver.cursor().execute("SET time_zone = '+00:00'"))
    report = way(server.url, mariadb_target)
    assert (report.rows_inserted, report.rows_updated) == (1, 0)
    assert mariadb_target.rows("t") == scenario.rows("t")
    assert "UTC was taken" in about_zones(report)[0]
    assert way(server.url, mariadb_target).status == "unchanged"


def test_what_only_looks(source: tuple[Scenario, PagingServer], postgresql_target: Scenario) -> None:
    """Sensors, ``diff`` and ``doctor`` compare in the source's zone."""
    _, server = source
    fill(postgresql_target, ROWS)
    table = table_from_options("t", {})
    with SyncClient(server.url, retries=0, time_zone="+01:00") as client:
        assert not table_differs(client, table, postgresql_target.database)
        assert diff_table(client, table, postgresql_target.database).report.status == "unchanged"
        assert not diagnose_table(client, table, postgresql_target.database).differs
    with SyncClient(server.url, retries=0, time_zone="+02:00") as client:
        assert table_differs(client, table, postgresql_target.database)
        assert diff_table(client, table, postgresql_target.database).report.rows_updated == 2


def test_summer_time(source: tuple[Scenario, PagingServer], target: Scenario) -> None:
    """An IANA name converts each value by its own offset; an hour that comes twice is reported, a skipped one refused."""
    scenario, server = source
    texts = [(1, "2024-07-01 12:00:00"), (2, "2024-01-01 12:00:00"), (3, "2024-10-27 02:30:00")]
    scenario.execute("DROP TABLE t", "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, at DATETIME, name VARCHAR(50))")
    for number, text in texts:
        scenario.execute(f"INSERT INTO t VALUES ({number}, '{text}', 'x')")
    report = sync(server.url, target, "Europe/Berlin")
    times = [row[1] for row in target.rows("t")]
    assert times == ["2024-07-01 10:00:00", "2024-01-01 11:00:00", "2024-10-27 00:30:00"]
    assert any("1 of its times" in warning for warning in report.warnings)
    assert report.verified == "hash"
    scenario.execute("INSERT INTO t VALUES (4, '2024-03-31 02:30:00', 'x')")
    with pytest.raises(SyncFailed, match=r"'at'.*skipped by the clocks of Europe/Berlin"):
        sync(server.url, target, "Europe/Berlin")
    assert [row[1] for row in target.rows("t")] == times


def test_times_that_fit_into_one_zone_alone(source: tuple[Scenario, PagingServer], mariadb_target: Scenario) -> None:
    """If a time is out of range in one of two possible zones, the other one is used."""
    scenario, server = source
    fill(scenario, [(4, "2038-01-19 03:14:07", "last moment of TIMESTAMP")])
    assert "+01:00 was taken" in about_zones(sync(server.url, mariadb_target))[0]
    assert mariadb_target.rows("t") == scenario.rows("t")


def test_a_time_of_the_key_that_comes_twice(source: tuple[Scenario, PagingServer], postgresql_target: Scenario) -> None:
    """Rows whose keys become equal in the hour that comes twice are refused with that reason."""
    scenario, server = source
    keyed = "(id INT NOT NULL, at {} NOT NULL, name VARCHAR(50), PRIMARY KEY (id, at))"
    for side, kind in ((scenario, "TIMESTAMP(6)"), (postgresql_target, "TIMESTAMPTZ")):
        side.execute("DROP TABLE t", f"CREATE TABLE t {keyed.format(kind)}")
    # As the clock of Europe/Berlin shows 00:30 and 01:30 UTC; this server's own clock has them once.
    scenario.execute("ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (id, at, name)")
    fill(scenario, [(1, "2024-10-27 01:30:00", "summer"), (1, "2024-10-27 01:30:00", "winter")])
    with pytest.raises(SyncFailed, match=r"one key \(id, at\).*on which an hour comes twice.*Nothing was changed") as failure:
        sync(server.url, postgresql_target, "Europe/Berlin")
    assert not failure.value.retryable
    assert postgresql_target.rows("t") == []


def test_sqlite_has_texts(source: tuple[Scenario, PagingServer], sqlite_url: str) -> None:
    """SQLite keeps the source's text, without conversion and warning."""
    _, server = source
    target = opened(sqlite_url)
    report = sync(server.url, target)
    assert target.rows("t")[0] == (1, "2024-07-01 12:00:00", "summer")
    assert about_zones(report) == []
    target.database.engine.dispose()


def test_our_server_answers_in_the_zone_of_existing_clients(mariadb_url: str, target: Scenario) -> None:
    """Our server hashes and sends in its ``time_zone``, and tells our client which one that is."""
    scenario = opened(mariadb_url, ROWS)
    target.execute("INSERT INTO t VALUES (9, '2024-07-01 11:00:00', 'gone')")
    for zone in (None, "+01:00", "Europe/Berlin"):
        config = ServerConfig.from_dict({"connections": {"source": mariadb_url}, "tables": {"t": {}}, "time_zone": zone})
        with RunningServer(config) as server:
            target.execute("DELETE FROM t WHERE id < 3")
            report = sync(server.url, target)
            assert target.rows("t") == scenario.rows("t")
            assert (report.verified, report.warnings) == ("hash", ())
            assert sync(server.url, target).status == "unchanged"
            with pytest.raises(SyncFailed, match="time_zone is '-07:00'"):
                sync(server.url, target, "-07:00")
    scenario.database.engine.dispose()
