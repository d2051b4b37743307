"""Sessions that the target's server ends in the middle of a sync."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.report import TableReport
from tests.sync.link import Link, linked
from tests.sync.tables.killed_sessions import end_all, killing

BEFORE = [(1, "a", 1), (2, "b", 2), (3, "c", 3)]
AFTER = [(1, "a", 1), (2, "changed", 2), (4, "new", 4)]

IN_SHORT = ("listing the changes", "updating", "committing", "cleaning up")
"""Moments that are tried in the short run, too."""

MOMENTS = {
    "making the staging table": ("CREATE", "_sync_", 0),
    "listing the changes": ("INSERT INTO", "_work", 0),
    "beginning": ("BEGIN ISOLATION LEVEL READ COMMITTED", "", 0),
    "deleting": ("DELETE", "", 0),
    "updating": ("UPDATE", "", 0),
    "inserting": ("INSERT INTO", "'I'", 1),
    "verifying": ("SELECT COUNT(*) FROM", "LEFT JOIN", 0),
    "committing": ("COMMIT", "", 0),
    "cleaning up": ("DROP", "_work", 0),
}


@pytest.fixture(params=["mariadb", pytest.param("mysql", marks=pytest.mark.slow), "postgresql"])
def server_into(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[Link]:
    """Give a source on SQLite and a target on each server, with one table that differs and one that is new."""
    with linked(sqlite_url, request.getfixturevalue(f"{request.param}_url")) as link:
        link.create(
            "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(20), n INTEGER)",
            "CREATE TABLE other (id INTEGER NOT NULL PRIMARY KEY)",
        )
        for side, rows in ((link.source, AFTER), (link.target, BEFORE)):
            side.execute(f"INSERT INTO t VALUES {', '.join(map(str, rows))}")
        link.source.execute("INSERT INTO other VALUES (1), (2)")
        yield link


@pytest.mark.parametrize("protocol", [pytest.param("1", marks=pytest.mark.slow), "2"])
@pytest.mark.parametrize(
    "moment",
    [pytest.param(moment, id=name, marks=[] if name in IN_SHORT else [pytest.mark.slow]) for name, moment in MOMENTS.items()],
)
def test_killed_sessions_are_told_and_the_rest_is_done(server_into: Link, protocol: str, moment: tuple[str, str, int]) -> None:
    """A killed session is a transient error in its table's report; the target is as it was, and other tables are synced."""
    link = server_into
    link.protocol = protocol
    beginning, containing, spared = moment
    if beginning.startswith("BEGIN") and link.target.dialect == "mysql":
        beginning = "START TRANSACTION"

    with killing(link.target.database, beginning, containing=containing, spared=spared) as killed:
        reports = _sync(link)

    assert killed
    t, other = reports
    if t.status == "failed":
        assert link.target.rows("t") == BEFORE
    else:
        assert (t.status, link.target.rows("t")) == ("changed", AFTER)
    assert (other.status, link.target.rows("other")) == ("changed", [(1,), (2,)])
    assert [report.status for report in link.sync("t", "other")] == [
        "changed" if t.status == "failed" else "unchanged",
        "unchanged",
    ]
    link.assert_equal("t")


@pytest.mark.parametrize("protocol", [pytest.param("1", marks=pytest.mark.slow), "2"])
@pytest.mark.parametrize("first", [False, True], ids=["a difference", "a first sync"])
def test_sessions_that_are_ended_while_rows_come(server_into: Link, protocol: str, first: bool) -> None:
    """If all sessions are killed while rows arrive, there is one transient error, and nothing is left behind."""
    link = server_into
    link.protocol = protocol
    if first:
        link.target.execute("DELETE FROM t")
    ended: list[str] = []

    def progress(name: str, *_: object) -> None:
        if not ended:
            ended.append(name)
            end_all(link.target.database)

    with pytest.raises(SyncFailed) as failure:
        link.sync("t", "other", single_transaction=False, progress=progress)

    assert failure.value.retryable
    assert ended == ["t"]
    assert [report.status for report in failure.value.reports] == ["failed", "changed"]
    assert link.target.rows("t") == ([] if first else BEFORE)
    assert link.sync_one("t").status == "changed"
    link.assert_equal("t")


def test_a_lost_lock_commits_nothing(server_into: Link) -> None:
    """If the session with the locks is killed, nothing of that table is committed, and other tables are synced."""
    link = server_into
    link.protocol = "2"

    with killing(link.target.database, "UPDATE", lock=True) as killed:
        t, other = _sync(link)

    assert killed
    assert t.status == "failed"
    assert "lock" in (t.error or "")
    assert link.target.rows("t") == BEFORE
    assert (other.status, link.target.rows("other")) == ("changed", [(1,), (2,)])
    assert link.sync_one("t").status == "changed"
    link.assert_equal("t")


def _sync(link: Link) -> list[TableReport]:
    try:
        return link.sync("t", "other", single_transaction=False)
    except SyncFailed as failure:
        if not failure.retryable:
            raise
        return list(failure.reports)  # type: ignore[arg-type]  # of tables alone
