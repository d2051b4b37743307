"""Columns of MySQL and MariaDB that ``SELECT *`` leaves out, or that the server sets by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from tests.database_servers import MARIADB, MYSQL, DatabaseServers
from tests.sync.link import Link, linked
from tests.sync.tables.test_steps import Steps

INVISIBLE = "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, a INT, v INT INVISIBLE)"
PERIOD = "s {0} GENERATED ALWAYS AS ROW START{1}, x {0} GENERATED ALWAYS AS ROW END{1}, PERIOD FOR SYSTEM_TIME (s, x)"
VERSIONED = [
    "CREATE TABLE t (id INT PRIMARY KEY, v TEXT) WITH SYSTEM VERSIONING",
    "CREATE TABLE t (id INT PRIMARY KEY, v TEXT) WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME"
    " (PARTITION p0 HISTORY, PARTITION pn CURRENT)",
    f"CREATE TABLE t (id INT PRIMARY KEY, v TEXT, {PERIOD.format('TIMESTAMP(6)', '')}) WITH SYSTEM VERSIONING",
    f"CREATE TABLE t (id INT PRIMARY KEY, v TEXT, {PERIOD.format('TIMESTAMP(6)', ' INVISIBLE')}) WITH SYSTEM VERSIONING",
    f"CREATE TABLE t (id INT PRIMARY KEY, v TEXT, {PERIOD.format('BIGINT UNSIGNED', '')}) WITH SYSTEM VERSIONING",
]


@pytest.fixture(params=["mariadb", pytest.param("mysql", marks=pytest.mark.slow)])
def alike(request: pytest.FixtureRequest, database_servers: DatabaseServers, tmp_path: Path) -> Iterator[Link]:
    """Give source and target on one server."""
    source = request.getfixturevalue(f"{request.param}_url")
    with database_servers.database(request.param, tmp_path) as target, linked(source, target) as link:
        link.protocol = "2"
        yield link


@pytest.fixture
def mariadb(mariadb_url: str, database_servers: DatabaseServers, tmp_path: Path) -> Iterator[Link]:
    """Give source and target on MariaDB."""
    with database_servers.database(MARIADB, tmp_path) as target, linked(mariadb_url, target) as link:
        link.protocol = "2"
        yield link


def hidden(link: Link) -> list[tuple[object, ...]]:
    """Return all columns of the target's rows."""
    return link.target.rows("t", "id", "a", "v")


def test_invisible_columns_are_columns(alike: Link) -> None:
    """With version 2, values of invisible columns arrive and are compared, in one task and in steps."""
    alike.create(INVISIBLE)
    alike.source.execute("INSERT INTO t (id, a, v) VALUES (1, 1, 5), (2, 2, NULL)")
    assert alike.sync_one("t").rows_inserted == 2
    assert hidden(alike) == [(1, 1, 5), (2, 2, None)]
    alike.source.execute("UPDATE t SET v = 7")
    report = alike.sync_one("t")
    assert (report.rows_updated, report.verified) == (2, "digest")
    assert hidden(alike) == [(1, 1, 7), (2, 2, 7)]
    assert alike.sync_one("t").status == "unchanged"
    alike.source.execute("UPDATE t SET v = 8 WHERE id = 1")
    steps = Steps(alike)
    steps.merge([steps.download(part) for part in steps.compare()])
    assert hidden(alike) == [(1, 1, 8), (2, 2, 7)]
    assert steps.compare() == []


def test_a_target_is_made_with_invisible_columns(alike: Link) -> None:
    """A created target has the source's invisible columns, too."""
    alike.source.execute(INVISIBLE, "INSERT INTO t (id, a, v) VALUES (1, 1, 5)")
    alike.sync_one("t", {"create_table": True})
    assert hidden(alike) == [(1, 1, 5)]


def test_a_primary_key_that_the_server_makes(alike: Link) -> None:
    """MySQL's generated invisible primary key is a normal key, even if the server may not show it."""
    if "maria" in alike.source.scalar("SELECT VERSION()").lower():
        pytest.skip("MariaDB has none")
    for side in (alike.source, alike.target):
        with side.database.connect() as connection:
            connection.exec_driver_sql("SET SESSION sql_generate_invisible_primary_key = ON")
            connection.exec_driver_sql("CREATE TABLE t (a INT)")
    alike.source.execute("INSERT INTO t VALUES (5), (5), (NULL)")
    alike.target.execute("INSERT INTO t VALUES (4)")
    show = "SET GLOBAL show_gipk_in_create_table_and_information_schema ="
    alike.source.execute(f"{show} OFF")
    try:
        assert alike.sync_one("t", {"max_deletes": 9}).rows_total == 3
        assert alike.target.rows("t", "my_row_id", "a") == [(1, 5), (2, 5), (3, None)]
        assert alike.sync_one("t").status == "unchanged"
    finally:
        alike.source.execute(f"{show} ON")


def test_columns_that_are_invisible_at_the_source_alone(mariadb_url: str, postgresql_url: str) -> None:
    """By version 1, if the hashes differ, the report names columns that were not sent and may be INVISIBLE."""
    with linked(mariadb_url, postgresql_url) as link:
        link.source.execute(INVISIBLE, "INSERT INTO t (id, a, v) VALUES (1, 1, 5)")
        link.target.execute(INVISIBLE.replace(" INVISIBLE", ""))
        (warning,) = link.sync_one("t").warnings
        assert "Or the source has v, too, but INVISIBLE" in warning
        link.target.execute("ALTER TABLE t DROP COLUMN v", "ALTER TABLE t ADD COLUMN own INT")
        link.source.execute("ALTER TABLE t DROP COLUMN v")
        assert link.sync_one("t").warnings == ()


def test_version_1_leaves_invisible_columns_out(mariadb: Link) -> None:
    """Version 1 does not send invisible columns, like existing servers; the report says so, and the target's values stay."""
    mariadb.protocol = "1"
    mariadb.create(INVISIBLE)
    mariadb.source.execute("INSERT INTO t (id, a, v) VALUES (1, 1, 5)")
    mariadb.target.execute("INSERT INTO t (id, a, v) VALUES (1, 2, 6)")
    report = mariadb.sync_one("t")
    assert hidden(mariadb) == [(1, 1, 6)]
    assert any("Column v of 't' is INVISIBLE" in warning for warning in report.warnings)
    assert report.verified == "rows"
    mariadb.target.execute("UPDATE t SET v = 5, a = 3")
    equal = mariadb.sync_one("t")
    assert (equal.rows_updated, equal.verified) == (1, "hash")
    assert mariadb.sync_one("t").verified == "hash"


@pytest.mark.parametrize("target", VERSIONED)
@pytest.mark.parametrize("protocol", ["1", "2"])
def test_current_rows_of_versioned_tables(mariadb: Link, target: str, protocol: str) -> None:
    """The current rows of system-versioned tables are synced; the target keeps its own history."""
    mariadb.protocol = protocol
    mariadb.source.execute(VERSIONED[2], "INSERT INTO t (id, v) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    mariadb.target.execute(target)
    columns = {"columns": ["id", "v"]} if protocol == "1" and "s TIMESTAMP" not in target and "s BIGINT" not in target else {}
    assert mariadb.sync_one("t", columns).rows_inserted == 3
    mariadb.source.execute(
        "UPDATE t SET v = 'x' WHERE id = 2", "DELETE FROM t WHERE id = 1", "INSERT INTO t (id, v) VALUES (4, 'd')"
    )
    report = mariadb.sync_one("t", columns)
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted) == (1, 1, 1)
    assert mariadb.target.rows("t", "id", "v") == [(2, "x"), (3, "c"), (4, "d")]
    assert mariadb.target.scalar("SELECT COUNT(*) FROM t FOR SYSTEM_TIME ALL") == 5
    if protocol == "2":
        assert mariadb.sync_one("t").status == "unchanged"
        mariadb.source.execute("UPDATE t SET v = 'y' WHERE id = 3")
        steps = Steps(mariadb)
        steps.merge([steps.download(part) for part in steps.compare()])
        assert mariadb.target.rows("t", "id", "v") == [(2, "x"), (3, "y"), (4, "d")]


def test_periods_that_may_not_overlap(mariadb: Link) -> None:
    """Rows move within keys WITHOUT OVERLAPS."""
    mariadb.create(
        "CREATE TABLE t (id INT, v TEXT, p DATE, q DATE, PERIOD FOR app(p, q), PRIMARY KEY (id, app WITHOUT OVERLAPS))"
    )
    mariadb.source.execute("INSERT INTO t VALUES (1, 'a', '2024-01-01', '2024-02-01'), (1, 'b', '2024-02-01', '2024-03-01')")
    mariadb.sync_one("t")
    mariadb.source.execute(
        "DELETE FROM t", "INSERT INTO t VALUES (1, 'a', '2024-01-01', '2024-02-10'), (1, 'b', '2024-02-10', '2024-03-01')"
    )
    mariadb.sync_one("t")
    mariadb.assert_equal("t")
    assert mariadb.sync_one("t").status == "unchanged"


def test_bookings_that_swap_their_periods(mariadb: Link) -> None:
    """Rows with exclusive periods swap them, and move into each other's."""
    mariadb.create(
        "CREATE TABLE t (id INT PRIMARY KEY, k INT NOT NULL, p DATE, q DATE, PERIOD FOR app(p, q),"
        " UNIQUE (k, app WITHOUT OVERLAPS))"
    )
    mariadb.source.execute("INSERT INTO t VALUES (1, 1, '2024-01-01', '2024-01-05'), (2, 1, '2024-01-05', '2024-01-10')")
    mariadb.sync_one("t")
    mariadb.source.execute("UPDATE t SET k = 2 WHERE id = 1", "UPDATE t SET p = '2024-01-01', q = '2024-01-05' WHERE id = 2")
    mariadb.source.execute("UPDATE t SET k = 1, p = '2024-01-05', q = '2024-01-10' WHERE id = 1")
    assert mariadb.sync_one("t").rows_updated == 2
    mariadb.assert_equal("t")
    mariadb.source.execute("UPDATE t SET q = '2024-01-03' WHERE id = 2", "UPDATE t SET p = '2024-01-03' WHERE id = 1")
    assert mariadb.sync_one("t").rows_updated == 2
    mariadb.assert_equal("t")


def test_vectors_by_version_1(mysql_url: str, database_servers: DatabaseServers, tmp_path: Path) -> None:
    """Vectors are refused like a BLOB, unless their bytes are UTF-8."""
    with database_servers.database(MYSQL, tmp_path) as target, linked(mysql_url, target) as link:
        link.create("CREATE TABLE t (id INT PRIMARY KEY, v VECTOR(2))")
        link.source.execute("INSERT INTO t VALUES (1, NULL), (2, STRING_TO_VECTOR('[0, 0]'))")
        assert link.sync_one("t").rows_inserted == 2
        link.assert_equal("t")
        link.source.execute("UPDATE t SET v = STRING_TO_VECTOR('[1.5, -0.25]')")
        with pytest.raises(SyncFailed, match="column 'v' that version 1 of the protocol cannot carry"):
            link.sync_one("t")
        assert link.target.rows("t", "id", "v") == [(1, None), (2, bytes(8))]
