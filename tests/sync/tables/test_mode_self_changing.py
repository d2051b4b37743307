"""Columns of MySQL and MariaDB that change in each UPDATE (ON UPDATE CURRENT_TIMESTAMP), in rows that a mode ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.database_servers import MARIADB, MYSQL
from tests.engines import on_engines
from tests.sync.link import Link

both_versions = pytest.mark.parametrize("protocol", ["1", "2"])
NOW = "DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)"
OLD = "2020-01-01 00:00:00"


@contextmanager
def unchanged(link: Link, columns: str) -> Iterator[None]:
    """Check that the row with the key 1 has the same values afterwards, in its earliest version."""

    def first() -> list[str]:
        with link.target.database.connect() as connection:
            query = f"SELECT {columns} FROM t WHERE id = 1 ORDER BY n LIMIT 1"
            return [str(value) for value in connection.exec_driver_sql(query).one()]

    before = first()
    yield
    assert first() == before


def create(link: Link, target: str) -> None:
    """Make the source with two rows, and the target."""
    link.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, changed DATETIME)",
        f"INSERT INTO t VALUES (1, 1, '{OLD}'), (2, 1, '{OLD}')",
    )
    link.target.execute(target)


@on_engines(MARIADB, MYSQL)
@both_versions
@pytest.mark.parametrize("sql_type", ["TIMESTAMP(6)", "DATETIME(6)"])
@pytest.mark.parametrize("end", ["UPDATE t SET n = 2", "DELETE FROM t WHERE id = 1"])
def test_the_end_of_a_version_changes_no_other_time(into: Link, protocol: str, sql_type: str, end: str) -> None:
    """A version that ends keeps the source's times, and the time at which it began."""
    into.protocol = protocol
    options: dict[str, Any] = {"mode": "history", "max_deletes": "100%"}
    create(
        into,
        f"CREATE TABLE t (id INTEGER, n INTEGER, changed {sql_type} NOT NULL {NOW}, valid_from {sql_type} NOT NULL {NOW},"
        " valid_to DATETIME(6), is_current BOOLEAN NOT NULL, PRIMARY KEY (id, valid_from))",
    )
    assert into.sync_one("t", options).status == "changed"
    with unchanged(into, "changed, valid_from"):
        into.source.execute(end)
        assert into.sync_one("t", options).status == "changed"
    assert into.sync_one("t", options).status == "unchanged"


@on_engines(MARIADB, MYSQL)
@both_versions
@pytest.mark.parametrize("sql_type", ["TIMESTAMP(6)", "DATETIME(6)"])
def test_a_marked_row_keeps_its_last_values(into: Link, protocol: str, sql_type: str) -> None:
    """A row that is marked as deleted keeps the source's times."""
    into.protocol = protocol
    options = {"mode": "soft_delete"}
    create(into, f"CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, changed {sql_type} NOT NULL {NOW}, deleted_at DATETIME(6))")
    assert into.sync_one("t", options).status == "changed"
    with unchanged(into, "changed"):
        into.source.execute("DELETE FROM t WHERE id = 1")
        assert into.sync_one("t", options).rows_deleted == 1
    assert into.sync_one("t", options).status == "unchanged"


@on_engines(MARIADB, MYSQL)
@both_versions
def test_a_key_that_changes_by_itself(into: Link, protocol: str) -> None:
    """An update of other columns does not change a time that is part of the key."""
    into.protocol = protocol
    key = "id INTEGER, changed {} NOT NULL {}, n INTEGER, PRIMARY KEY (id, changed)"
    into.source.execute(f"CREATE TABLE t ({key.format('DATETIME', '')})", f"INSERT INTO t VALUES (1, '{OLD}.000000', 1)")
    into.target.execute(f"CREATE TABLE t ({key.format('DATETIME(6)', NOW)})", f"INSERT INTO t VALUES (1, '{OLD}', 2)")
    assert into.sync_one("t").rows_updated == 1
    assert into.sync_one("t").status == "unchanged"


@on_engines(MARIADB, MYSQL)
@both_versions
@pytest.mark.parametrize("mode", ["mirror", "soft_delete"])
def test_a_gone_column_that_changes_by_itself(into: Link, protocol: str, mode: str) -> None:
    """``set_null`` also clears what ON UPDATE writes into a gone column of rows that the merge updates, marks or revives."""
    into.protocol = protocol
    gone = "gone TIMESTAMP NULL DEFAULT NULL ON UPDATE CURRENT_TIMESTAMP"
    create(into, f"CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, changed DATETIME(6), {gone}, deleted_at DATETIME(6))")
    options = {"mode": mode, "gone_columns": "set_null"}
    assert into.sync_one("t", options).status == "changed"
    for change in ("UPDATE t SET n = 2", "DELETE FROM t WHERE id = 1", f"INSERT INTO t VALUES (1, 2, '{OLD}')"):
        into.source.execute(change)
        assert into.sync_one("t", options).status == "changed"
        assert into.target.scalar("SELECT COUNT(gone) FROM t") == 0
