"""Downloads that are cut: the next try goes on with what was staged, as far as it still is right."""

from __future__ import annotations

import signal

import pytest

from airflow_provider_sync.databases.sqlite import text_load as sqlite_text_load
from airflow_provider_sync.exceptions import IncompleteStreamError, SyncFailed
from airflow_provider_sync.sync.tables.version2 import batch_sizes, plan
from tests.sync.link import Link
from tests.sync.tables.sync_and_die import HALFWAY, sync_and_die
from tests.sync.tables.test_steps import Steps
from tests.sync.tables.version2.test_source import fill

ROWS = 20_000
INTEGERS = "CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(200))"
TEXTS = "CREATE TABLE t (code VARCHAR(40) PRIMARY KEY, v VARCHAR(200))"
VALUE = "'value ' || (i * 7919) || hex(randomblob(60))"


class Cut:
    """A progress at which the connection breaks once so many rows have come."""

    def __init__(self, rows: int) -> None:
        self.left = rows

    def __call__(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Count down."""
        self.left -= amount
        if self.left < 0:
            raise IncompleteStreamError("the connection broke")


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few rows be committed at once, and few be too many to load directly."""
    monkeypatch.setattr(batch_sizes, "LOAD_BYTES", 256 * 1024)
    monkeypatch.setattr(sqlite_text_load, "_TRANSACTION_BYTES", 256 * 1024)
    monkeypatch.setattr(plan, "MAX_DIRECT", 1_000)
    monkeypatch.setattr(batch_sizes, "TASK_ROWS", 1_000)


@pytest.fixture
def two_into(into: Link) -> Link:
    """Give a source on SQLite, a target on each engine, and a client that takes version 2."""
    into.protocol = "2"
    return into


@pytest.mark.quick_on("sqlite", "mariadb")
@pytest.mark.parametrize(("table", "key"), [(INTEGERS, "i * 3"), (TEXTS, "'key ' || i")], ids=["integers", "texts"])
def test_a_cut_sync_goes_on(two_into: Link, table: str, key: str) -> None:
    """The retry of a cut sync fetches only missing and changed rows, for any key."""
    two_into.create(table)
    fill(two_into, "t", f"{key}, {VALUE}", ROWS)
    with pytest.raises(SyncFailed, match="broke") as failure:
        two_into.sync_one("t", resume=True, progress=Cut(ROWS * 3 // 4))
    assert failure.value.retryable
    assert two_into.target.rows("t") == []
    two_into.source.execute("UPDATE t SET v = 'changed' WHERE rowid IN (5, 19000)", "DELETE FROM t WHERE rowid IN (6, 19001)")
    report = two_into.sync_one("t", resume=True)
    assert (report.rows_inserted, report.verified) == (ROWS - 2, "digest")
    assert report.rows_received < ROWS // 2
    two_into.assert_equal("t")


def test_a_cut_sync_leaves_nothing_unless_told(two_into: Link) -> None:
    """Without ``resume``, a cut sync leaves nothing behind."""
    two_into.create(INTEGERS)
    fill(two_into, "t", f"i, {VALUE}", ROWS)
    two_into.target.execute("INSERT INTO t VALUES (1, 'old')")
    with pytest.raises(SyncFailed):
        two_into.sync_one("t", progress=Cut(ROWS * 3 // 4))
    assert two_into.target.rows("t") == [(1, "old")]
    two_into.assert_clean()


@pytest.mark.quick_on("mysql", "postgresql")
def test_a_killed_sync_goes_on(two_into: Link) -> None:
    """The next sync of the table continues a killed one, too."""
    two_into.create(INTEGERS)
    fill(two_into, "t", f"i, {VALUE}", ROWS)
    two_into.target.execute("INSERT INTO t VALUES (1, 'old')")
    assert sync_and_die(two_into, HALFWAY) == -signal.SIGKILL
    report = two_into.sync_one("t")
    assert (report.rows_inserted, report.rows_updated) == (ROWS - 1, 1)
    assert 0 < report.rows_received < ROWS * 3 // 4
    two_into.assert_equal("t")


@pytest.mark.quick_on("sqlite", "postgresql")
def test_another_shape_is_begun_anew(two_into: Link) -> None:
    """If the target has other columns by then, the rows that were staged for the old ones are dropped."""
    two_into.create(INTEGERS)
    fill(two_into, "t", f"i, {VALUE}", ROWS)
    with pytest.raises(SyncFailed):
        two_into.sync_one("t", resume=True, progress=Cut(ROWS * 3 // 4))
    two_into.source.execute("ALTER TABLE t ADD COLUMN w INTEGER")
    two_into.target.execute("ALTER TABLE t ADD COLUMN w INTEGER")
    report = two_into.sync_one("t", resume=True)
    assert report.rows_received == ROWS
    two_into.assert_equal("t")


@pytest.mark.quick_on("sqlite-first", "postgresql-changes")
@pytest.mark.parametrize("first", [True, False], ids=["first", "changes"])
def test_a_cut_part_goes_on(two_into: Link, first: bool) -> None:
    """The retry of a cut slice fetches only missing rows of its slice."""
    two_into.create(INTEGERS)
    fill(two_into, "t", f"i * 3, {VALUE}", ROWS)
    if not first:
        Steps(two_into, run_id="run 0").all()
        two_into.source.execute("UPDATE t SET v = v || '.' WHERE rowid % 3 = 0")
    slices = Steps(two_into, slices=2).compare()
    assert len(slices) == 2
    wanted = [ROWS // 2, ROWS // 2] if first else [ROWS // 6, ROWS // 6]
    with pytest.raises(IncompleteStreamError):
        Steps(two_into).download(slices[1], progress=Cut(wanted[1] * 3 // 4))
    staged = [Steps(two_into).download(table_slice) for table_slice in slices]
    again = Steps(two_into).download(slices[0])
    assert staged[0].received >= wanted[0] * 9 // 10
    assert staged[1].received < wanted[1] * 3 // 4
    assert (again.received, again.staged) == (0, staged[0].staged)
    report = Steps(two_into).merge(staged)
    assert report.rows_inserted + report.rows_updated == sum(part.staged for part in staged)
    two_into.assert_equal("t")
