"""Targets of MySQL and MariaDB that cannot be rolled back: refused, or reported as what they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_sync.exceptions import SyncFailed, TableError
from airflow_provider_sync.sync.tables.steps import merge_slices, stage_slice
from tests.sync.link import Link, linked
from tests.sync.tables.test_steps import Steps

TABLE = "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, a INT)"
CHECKED = "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, a INT, CHECK (a >= 0))"
ALLOWED = {"allow_non_transactional": True}
PARTITIONS = "PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (100), PARTITION b VALUES LESS THAN MAXVALUE)"


@pytest.fixture(params=["mariadb", pytest.param("mysql", marks=pytest.mark.slow)])
def into(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[Link]:
    """Give a source on SQLite and a target on each of the two servers."""
    with linked(sqlite_url, request.getfixturevalue(f"{request.param}_url")) as link:
        yield link


def storages(into: Link) -> list[str]:
    """Return what stands behind a CREATE TABLE of each kind that the server has."""
    kinds = ["ENGINE=MyISAM", "ENGINE=MEMORY"]
    mariadb = "maria" in into.target.scalar("SELECT VERSION()").lower()
    return [*kinds, "ENGINE=Aria", f"ENGINE=MyISAM {PARTITIONS}"] if mariadb else kinds


def fill(into: Link, *, bad: int | None = 77) -> None:
    """Make a source of 500 rows, one of which the target refuses."""
    into.source.execute(TABLE, f"INSERT INTO t VALUES {', '.join(f'({n}, {-1 if n == bad else n})' for n in range(500))}")


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_refused_in_one_go(into: Link, protocol: str) -> None:
    """Without the option nothing is written, even if all rows could be, and the message names the option."""
    into.protocol = protocol
    fill(into, bad=None)
    for storage in storages(into):
        into.target.execute(f"{TABLE} {storage}", "INSERT INTO t VALUES (1, 5)")
        for arguments in ({}, {"dry_run": True}):
            with pytest.raises(SyncFailed, match="allow_non_transactional") as raised:
                into.sync("t", **arguments)
            assert not raised.value.retryable
        assert into.target.rows("t") == [(1, 5)]
        into.assert_clean()
        into.target.execute("DROP TABLE t")


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_refused_in_steps(into: Link, protocol: str) -> None:
    """Each step refuses, also if the table was converted between two of them."""
    into.protocol = protocol
    fill(into, bad=None)
    into.target.execute(TABLE, "INSERT INTO t VALUES (1, 5)")
    steps = Steps(into)
    slices = steps.compare()
    staged = [steps.download(table_slice) for table_slice in slices]
    into.target.execute("ALTER TABLE t ENGINE=MyISAM")
    with pytest.raises(TableError, match="allow_non_transactional"):
        steps.compare()
    with into.client("t") as client, pytest.raises(TableError, match="allow_non_transactional"):
        stage_slice(client, steps.options, into.target.database, slices[0])
    with into.client("t") as client, pytest.raises(SyncFailed, match="allow_non_transactional"):
        merge_slices(client, {"t": (steps.options, staged)}, into.target.database)
    assert into.target.rows("t") == [(1, 5)]


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_accepted(into: Link, protocol: str) -> None:
    """With the option the table is synced, and its report has a warning."""
    into.protocol = protocol
    fill(into, bad=None)
    for storage in storages(into):
        into.target.execute(f"{TABLE} {storage}")
        first = into.sync_one("t", ALLOWED)
        assert "cannot roll back" in " ".join(first.warnings)
        assert (first.status, first.rows_inserted) == ("changed", 500)
        into.source.execute("UPDATE t SET a = 7 WHERE id = 3")
        into.target.execute("DELETE FROM t WHERE id = 5", "INSERT INTO t VALUES (1000, 1)")
        again = into.sync_one("t", ALLOWED)
        assert again.rows_deleted == 1
        into.assert_equal("t")
        assert not into.sync_one("t", ALLOWED).warnings
        into.target.execute("DROP TABLE t")


@pytest.mark.parametrize("protocol", ["1", "2"])
@pytest.mark.parametrize("rows", [0, 1], ids=["first", "difference"])
def test_a_merge_that_fails_says_what_may_have_changed(into: Link, protocol: str, rows: int) -> None:
    """If the table refuses a row, the error names the tables that may have changed."""
    into.protocol = protocol
    fill(into)
    into.target.execute(f"{CHECKED} ENGINE=MyISAM", *["INSERT INTO t VALUES (1, 5)"] * rows)
    with pytest.raises(SyncFailed) as raised:
        into.sync("t", options={"t": ALLOWED})
    for text in (str(raised.value), str(raised.value.reports[0].error)):
        assert "Rows of table 't' (MyISAM) may have changed, and cannot be rolled back" in text
        assert "Nothing was changed" not in text
    assert into.target.scalar("SELECT COUNT(*) FROM t WHERE a = 76") in (0, 1)
    # The next sync makes it right.
    into.source.execute("UPDATE t SET a = 0 WHERE a < 0")
    into.sync("t", options={"t": ALLOWED})
    into.assert_equal("t")


def test_steps_that_fail_say_what_may_have_changed(into: Link) -> None:
    """The merge of the steps names them, too."""
    into.protocol = "2"
    fill(into)
    into.target.execute(f"{CHECKED} ENGINE=MyISAM", "INSERT INTO t VALUES (1, 5)")
    steps = Steps(into, ALLOWED)
    staged = [steps.download(table_slice) for table_slice in steps.compare()]
    with pytest.raises(SyncFailed, match=r"Rows of table 't' \(MyISAM\) may have changed"):
        steps.merge(staged)


def test_a_failure_before_the_merge_changes_nothing(into: Link) -> None:
    """A failure before the merge writes does not mention changes."""
    into.protocol = "2"
    fill(into, bad=None)
    into.target.execute(f"{TABLE} ENGINE=MyISAM", f"INSERT INTO t VALUES {', '.join(f'({n}, 1)' for n in range(1000, 1900))}")
    with pytest.raises(SyncFailed, match="max_deletes") as raised:
        into.sync("t", options={"t": ALLOWED})
    assert "may have changed" not in str(raised.value)
    assert into.target.scalar("SELECT COUNT(*) FROM t") == 900


def test_tables_of_one_transaction(into: Link) -> None:
    """Of tables merged together, those with transactions are rolled back, and reports name the others."""
    into.protocol = "2"
    fill(into)
    into.source.execute(TABLE.replace(" t ", " u "), "INSERT INTO u VALUES (1, 1)")
    into.target.execute(CHECKED, f"{TABLE.replace(' t ', ' u ')} ENGINE=MyISAM", "INSERT INTO t VALUES (1, 5)")
    with pytest.raises(SyncFailed) as raised:
        into.sync("u", "t", options={"t": ALLOWED, "u": ALLOWED})
    u, t = (str(report.error) for report in raised.value.reports)
    assert "Nothing but u was changed" in u
    assert "Rows of table 'u' (MyISAM) may have changed" in t
    assert "Nothing was changed" not in t
    assert into.target.rows("t") == [(1, 5)]


@pytest.mark.slow
def test_a_server_with_gtids(mysql_url: str, sqlite_url: str) -> None:
    """MySQL with GTIDs refuses such a table in a shared transaction: the remedy in the error works."""
    with linked(sqlite_url, mysql_url) as link:
        link.protocol = "2"
        link.target.execute(f"{TABLE} ENGINE=MyISAM", TABLE.replace(" t ", " u "))
        for name in ("t", "u"):
            link.source.execute(TABLE.replace(" t ", f" {name} "), f"INSERT INTO {name} VALUES (1, 1), (2, 2)")
            link.target.execute(f"INSERT INTO {name} VALUES (7, 7)")
        if link.target.scalar("SELECT @@enforce_gtid_consistency") != "ON":
            pytest.skip("without GTIDs")
        options = {"t": ALLOWED | {"max_deletes": 1}, "u": {"max_deletes": 1}}
        with pytest.raises(SyncFailed, match=r"GTID.*ENGINE=InnoDB.*single_transaction: false"):
            link.sync("t", "u", options=options)
        assert link.target.rows("u") == [(7, 7)]
        reports = link.sync("t", "u", options=options, single_transaction=False)
        assert [report.status for report in reports] == ["changed", "changed"]


def test_what_a_trigger_leaves_is_told(mariadb_url: str, sqlite_url: str) -> None:
    """A failed merge whose trigger wrote to a MyISAM table does not claim that nothing was changed."""
    with linked(sqlite_url, mariadb_url) as link:
        link.protocol = "2"
        link.create(TABLE, "CREATE TABLE u (id INT NOT NULL PRIMARY KEY, a INT)", "INSERT INTO t VALUES (1, 5)")
        link.target.execute(
            "CREATE TABLE log (id INT) ENGINE=MyISAM",
            "CREATE TRIGGER logs BEFORE UPDATE ON t FOR EACH ROW INSERT INTO log VALUES (NEW.id)",
            "CREATE TRIGGER spoils BEFORE UPDATE ON t FOR EACH ROW FOLLOWS logs SET NEW.a = NEW.a + 1",
        )
        link.source.execute("UPDATE t SET a = 6", "INSERT INTO u VALUES (1, 1)")
        with pytest.raises(SyncFailed, match="cannot roll back: what it wrote there stays") as raised:
            link.sync("t", "u")
        assert link.target.rows("t") == [(1, 5)]
        assert link.target.scalar("SELECT COUNT(*) FROM log") == 1
        errors = {report.name: str(report.error) for report in raised.value.reports}
        assert "Nothing was changed" not in errors["t"]
        assert errors["u"].startswith("Nothing but what triggers wrote to tables that cannot be rolled back was changed")
