"""Sources that are written to all the while: what stands still is synced, and what never does is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.sync.tables.version2 import batch_sizes, plan
from tests.database_servers import MARIADB, POSTGRESQL, SQLITE, DatabaseServers
from tests.engines import on_engines
from tests.sync.link import Link, linked
from tests.sync.tables.restless_source import RestlessSource


@pytest.fixture(params=["integer", "text"])
def restless(request: pytest.FixtureRequest, into: Link) -> RestlessSource:
    """Give equal tables on each engine, once cut by ranges and once by digests."""
    return filled(into, request.param)


@pytest.fixture(params=["integer", "text"])
def restless_same(request: pytest.FixtureRequest, same: Link) -> RestlessSource:
    """Give equal tables on SQLite, where the engine does not matter."""
    return filled(same, request.param)


def filled(link: Link, kind: str) -> RestlessSource:
    """Fill both sides alike."""
    link.protocol = "2"
    source = RestlessSource(link, kind)
    link.sync_one("t")
    return source


@on_engines(SQLITE, POSTGRESQL)
def test_a_busy_source_is_synced_in_one_run(restless: RestlessSource) -> None:
    """While rows change before each request, a run ends with rows that the source had, and the next with all."""
    restless.write()
    report = restless.sync()
    assert report.status == "changed"
    assert report.rows_updated >= 20
    restless.assert_target_is_true()
    restless.link.assert_clean()
    assert restless.link.sync_one("t").verified == "digest"
    restless.link.assert_equal("t")


@on_engines(SQLITE, POSTGRESQL)
def test_rows_that_never_stand_still_are_named(restless: RestlessSource) -> None:
    """Rows that change at each request arrive in their last version; the report names them, and others are verified."""
    restless.link.source.execute("UPDATE t SET v = 'cold' WHERE n <= 200")
    restless.note()
    report = restless.sync(hot_only=True)
    assert (report.status, report.rows_updated, report.verified) == ("changed", 200, "rows")
    (warning,) = report.warnings
    assert "2 rows changed at the source each time that the sync asked for them (id: 5; 6)" in warning
    restless.assert_target_is_true()
    cold = [row for row in restless.link.source.rows("t") if row[1] not in restless.hot]
    assert [row for row in restless.link.target.rows("t") if row[1] not in restless.hot] == cold


@on_engines(SQLITE, POSTGRESQL)
def test_a_first_sync_of_a_busy_source(into: Link) -> None:
    """An empty target is filled beside a busy writer: rows that changed after the load are requested again."""
    into.protocol = "2"
    restless = RestlessSource(into)
    report = restless.sync()
    assert (report.status, report.rows_inserted) == ("changed", restless.link.target.scalar("SELECT COUNT(*) FROM t"))
    restless.assert_target_is_true()
    restless.link.assert_clean()


def test_a_busy_table_that_is_sent_whole(restless_same: RestlessSource) -> None:
    """If all rows differ, the table is sent, and only rows that changed in between are requested again."""
    restless_same.link.target.execute("UPDATE t SET v = 'other'")
    report = restless_same.sync()
    assert (report.status, report.verified) == ("changed", "rows")
    restless_same.assert_target_is_true()
    restless_same.link.assert_clean()


def test_a_busy_table_by_slices(restless_same: RestlessSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """If too many rows are surplus, they are handled in slices, beside a busy writer, too."""
    monkeypatch.setattr(plan, "MAX_LISTED", 300)
    monkeypatch.setattr(batch_sizes, "SLICE_ROWS", 500)
    restless_same.link.source.execute("DELETE FROM t WHERE n BETWEEN 600 AND 999", "UPDATE t SET v = 'cold' WHERE n % 7 = 0")
    restless_same.note()
    report = restless_same.sync()
    assert report.rows_deleted >= 400
    restless_same.assert_target_is_true()
    restless_same.link.assert_clean()


def test_a_busy_window(restless_same: RestlessSource) -> None:
    """Beside a busy writer, rows move only inside a window."""
    restless_same.link.offered["t"] = {"windows": ["at"]}
    restless_same.link.source.execute("UPDATE t SET v = 'cold' WHERE n BETWEEN 500 AND 900")
    restless_same.note()
    before = [row for row in restless_same.link.target.rows("t") if row[3] != 3]
    report = restless_same.sync({"window": ("at", "3", "4")})
    assert report.rows_updated >= 40
    assert [row for row in restless_same.link.target.rows("t") if row[3] != 3] == before
    restless_same.link.assert_clean()
    restless_same.link.sync_one("t", {"window": ("at", "3", "4")})
    window = [row for row in restless_same.link.source.rows("t") if row[3] == 3]
    assert [row for row in restless_same.link.target.rows("t") if row[3] == 3] == window


@on_engines(SQLITE, POSTGRESQL)
@pytest.mark.parametrize("where", ["", " WHERE n < 100"], ids=["whole", "few"])
def test_a_busy_source_over_temporary_staging(into: Link, where: str) -> None:
    """Changed rows are found in a staging table that no other connection sees, too."""
    restless = filled(into, "integer")
    into.target.execute(f"UPDATE t SET v = 'other'{where}")
    assert restless.sync({"staging": "temporary"}).status == "changed"
    restless.assert_target_is_true()
    into.assert_clean()


def test_a_busy_source_of_many_segments(same: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scattered changes of a finely cut table arrive beside a busy writer."""
    same.protocol = "2"
    monkeypatch.setattr(plan, "MIN_PROBED_ROWS", 500)
    monkeypatch.setattr(batch_sizes, "LOAD_BYTES", 1000)
    restless = RestlessSource(same, rows=6000)
    same.sync_one("t")
    same.source.execute("UPDATE t SET v = 'scattered' WHERE n % 200 = 0")
    restless.note()
    assert restless.sync().status == "changed"
    restless.assert_target_is_true()
    restless.link.assert_clean()


@on_engines(SQLITE, POSTGRESQL)
@pytest.mark.parametrize("where", ["", " WHERE n BETWEEN 300 AND 700"], ids=["whole", "some"])
def test_a_busy_source_in_steps(restless: RestlessSource, where: str) -> None:
    """In steps, rows that change during downloads are requested again, too, and those that keep changing are named."""
    restless.link.target.execute(f"UPDATE t SET v = 'other'{where}")
    restless.write()
    report = restless.sync_in_steps()
    assert (report.status, report.verified) == ("changed", "rows")
    assert any("each time that the sync asked for them (id: " in warning for warning in report.warnings)
    restless.assert_target_is_true()
    restless.link.assert_clean()


@pytest.mark.parametrize("first", [True, False])
def test_a_busy_source_that_is_cut_by_hashes_of_keys(
    database_servers: DatabaseServers, mariadb_url: str, tmp_path: Path, first: bool
) -> None:
    """Between two databases with key hashes, changed rows are requested again, too."""
    with database_servers.database(MARIADB, tmp_path) as source_url, linked(source_url, mariadb_url) as link:
        link.protocol = "2"
        restless = RestlessSource(link, "text")
        if not first:
            link.sync_one("t")
            link.target.execute("UPDATE t SET v = 'other'")
        assert restless.sync().status == "changed"
        restless.assert_target_is_true()
        link.assert_clean()
