"""Rows that move while they are fetched over version 2: they are asked for again, and only they."""

from __future__ import annotations

import pytest

from airflow_provider_sync.protocol.v2.messages import DescribeTable, DigestRows, GetRows
from tests.database_servers import DUCKDB, MYSQL
from tests.engines import on_engines
from tests.sync.link import Link
from tests.sync.tables.interrupted import Request, interrupted

FILL = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t SELECT {key}, i, 'x' FROM n"


@pytest.fixture(params=["integer", "text"])
def filled(request: pytest.FixtureRequest, into: Link) -> Link:
    """Give equal tables of 3,000 rows on both sides, once cut by ranges and once by digests."""
    into.protocol = "2"
    text = request.param == "text"
    into.create(
        f"CREATE TABLE t (id {'VARCHAR(9)' if text else 'INTEGER'} NOT NULL PRIMARY KEY, n INTEGER NOT NULL, v VARCHAR(20))"
    )
    into.source.execute(FILL.format(key="CAST(i AS CHAR(4))" if text else "i"))
    into.sync_one("t")
    return into


def by_keys(request: Request) -> bool:
    """Whether a request names keys."""
    return getattr(request, "keys", None) is not None


def kinds(asked: list[Request]) -> list[str]:
    """Name the requests about rows by their keys, with the number of keys."""
    return [f"{type(one).__name__} {one.keys.count(chr(10))}" for one in asked if by_keys(one)]


@on_engines(DUCKDB, MYSQL)
def test_only_rows_that_moved_are_asked_for_again(filled: Link) -> None:
    """If one of 200 rows changes before the rows are sent, only its digest is requested again."""
    filled.source.execute("UPDATE t SET v = 'first' WHERE n <= 200")
    report, asked = interrupted(filled, GetRows, 1, lambda _: filled.source.execute("UPDATE t SET v = 'second' WHERE n = 5"))
    assert kinds(asked) == ["GetRows 200", "DigestRows 1"]
    assert (report.rows_updated, report.verified) == (200, "digest")
    filled.assert_equal("t")


@on_engines(DUCKDB, MYSQL)
def test_a_row_that_moves_twice_is_fetched_again(filled: Link) -> None:
    """A row that differs from its digest a second time is fetched by its key."""
    filled.source.execute("UPDATE t SET v = 'first' WHERE n <= 200")
    # Before the rows, and before the digest that is asked for again.
    _, asked = interrupted(filled, by_keys, 2, lambda left: filled.source.execute(f"UPDATE t SET v = 'moved {left}' WHERE n = 5"))
    assert kinds(asked) == ["GetRows 200", "DigestRows 1", "GetRows 1"]
    filled.assert_equal("t")


@on_engines(DUCKDB, MYSQL)
def test_a_row_that_goes_meanwhile_goes_from_the_target(filled: Link) -> None:
    """Rows that the source deletes after it announced them are deleted, or not inserted."""
    filled.source.execute("UPDATE t SET v = 'first' WHERE n <= 200", "INSERT INTO t VALUES (9001, 9001, 'new')")
    report, asked = interrupted(filled, GetRows, 1, lambda _: filled.source.execute("DELETE FROM t WHERE n IN (7, 9001)"))
    assert kinds(asked)[-1] == "DigestRows 2"
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted) == (0, 199, 1)
    filled.assert_equal("t")


@on_engines(DUCKDB, MYSQL)
def test_only_a_segment_that_moved_is_digested_again(filled: Link) -> None:
    """A segment that changed after its digest was sent is digested once more before the commit, and only that one."""
    filled.source.execute("UPDATE t SET v = 'first' WHERE n IN (5, 6, 2000)")
    _, asked = interrupted(filled, DigestRows, 1, lambda _: filled.source.execute("UPDATE t SET v = 'second' WHERE n = 5"))
    _, *again = [one for one in asked if isinstance(one, DescribeTable)]
    for one in again:
        low, high = one.table_slice.key_range or (None, None)
        assert low is not None
        assert high is not None
        assert low <= 5 <= high < 2000
    filled.assert_equal("t")


@on_engines(DUCKDB, MYSQL)
def test_a_table_that_is_sent_whole_is_not_sent_again(filled: Link) -> None:
    """If rows change while the whole table is sent, it is digested again, and only changed rows are fetched."""
    filled.target.execute("UPDATE t SET v = 'other'")

    def change(_: int) -> None:
        filled.source.execute("UPDATE t SET v = 'moved' WHERE n = 5", "DELETE FROM t WHERE n = 6")

    _, asked = interrupted(filled, GetRows, 1, change)
    whole = [one for one in asked if isinstance(one, GetRows) and one.keys is None]
    assert len(whole) == 1
    filled.assert_equal("t")


@on_engines(DUCKDB, MYSQL)
def test_rows_that_never_stand_still_are_asked_for_a_bounded_number_of_times(filled: Link) -> None:
    """Rows that change before each answer are requested three times; the report names them."""
    filled.source.execute("UPDATE t SET v = 'first' WHERE n <= 20")
    report, asked = interrupted(
        filled, (DigestRows, GetRows), 1000, lambda left: filled.source.execute(f"UPDATE t SET v = 'at {left}' WHERE n = 5")
    )
    assert [one for one in kinds(asked) if one.startswith("GetRows")] == ["GetRows 20", "GetRows 1", "GetRows 1"]
    assert (report.rows_updated, report.verified) == (20, "rows")
    assert "(id: 5)" in report.warnings[0]
    filled.assert_equal("t")
