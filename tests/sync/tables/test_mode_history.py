"""A history of a table: its versions, their times, and what a table must be like to have them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.merge.moments import now
from tests.sync.link import Link, linked
from tests.sync.tables.mode_tables import copies, counts

VERSIONS = "id, v, valid_from, valid_to, is_current"


def test_versions_follow_each_other(two_same: Link) -> None:
    """A version begins when the previous one ended, several changes between syncs are one, and old ones never change."""
    with copies(two_same, rows=3) as targets:
        targets.sync("history")
        two_same.source.execute("UPDATE t SET v = 'unseen' WHERE id = 2", "UPDATE t SET v = 'seen' WHERE id = 2")
        two_same.source.execute("UPDATE t SET v = 'other' WHERE id = 3", "UPDATE t SET v = 'v3' WHERE id = 3")
        before = targets.rows("history", columns=VERSIONS)
        assert counts(targets.sync("history")) == ("changed", 0, 1, 0)
        after = targets.rows("history", columns=VERSIONS)
        first, second = targets.rows("history", "id = 2", "valid_from, v, valid_to, is_current")
        assert (first[1], second[1]) == ("v2", "seen")
        assert first[2] == second[0] > first[0]
        assert (first[3], second[2], second[3]) == (0, None, 1)
        assert [row for row in before if row[0] != 2] == [row for row in after if row[0] != 2]
        assert counts(targets.sync("history")) == ("unchanged", 0, 0, 0)
        assert targets.rows("history", columns=VERSIONS) == after


def test_a_version_at_the_end_of_time(two_same: Link) -> None:
    """A version that ends at the last possible time is an error that names the table, and changes nothing."""
    with copies(two_same, rows=2) as targets:
        targets.sync("history")
        two_same.target.execute("UPDATE history SET valid_to = '9999-12-31 23:59:59.999999', is_current = 0 WHERE id = 1")
        before = two_same.target.rows("history")
        with pytest.raises(SyncFailed, match=r"'history'.*9999-12-31 23:59:59\.999999, and none is later.*Nothing was changed"):
            targets.sync("history")
        assert two_same.target.rows("history") == before
        two_same.assert_clean()


@pytest.mark.quick_on("postgresql")
def test_a_clock_that_was_set_back(two_into: Link) -> None:
    """A version begins after the previous one, even if that one's time is in the future."""
    with copies(two_into, rows=2) as targets:
        targets.sync("history")
        two_into.target.execute("UPDATE history SET valid_from = '2999-12-31 23:59:59' WHERE id = 1")
        for value in ("x", "y"):
            two_into.source.execute(f"UPDATE t SET v = '{value}'")
            assert counts(targets.sync("history")) == ("changed", 0, 2, 0)
        rows = targets.rows("history", "id = 1", "valid_from, v, valid_to")
        assert [row[1] for row in rows] == ["v1", "x", "y"]
        assert [row[2] for row in rows] == [rows[1][0], rows[2][0], None]
        assert len({row[0] for row in rows}) == 3


@pytest.mark.parametrize("rows", [3, 300])
def test_two_current_versions_of_a_row(two_same: Link, rows: int) -> None:
    """A row with two current versions is refused, for both ways of comparing; nothing is written."""
    with copies(two_same, rows=rows) as targets:
        targets.sync("history")
        two_same.target.execute("INSERT INTO history VALUES (2, 'own', '2020-01-01 00:00:00', NULL, TRUE)")
        if rows == 3:
            two_same.target.execute("DELETE FROM history WHERE id <> 2")
        before = targets.rows("history", columns=VERSIONS)
        with pytest.raises(SyncFailed, match=r"several current versions \(valid_to is NULL\)\. Set valid_to in all but the last"):
            targets.sync("history")
        assert targets.rows("history", columns=VERSIONS) == before


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_a_version_without_a_key(same: Link, protocol: str) -> None:
    """A version whose key is NULL, which SQLite allows, is refused by both versions of the protocol; nothing is written."""
    same.protocol = protocol
    with copies(same, rows=3) as targets:
        columns = "id INTEGER, v VARCHAR(20), valid_from DATETIME NOT NULL, valid_to DATETIME, is_current BOOLEAN"
        same.target.execute("DROP TABLE history", f"CREATE TABLE history ({columns}, PRIMARY KEY (id, valid_from))")
        targets.sync("history")
        same.target.execute("INSERT INTO history VALUES (NULL, 'own', '2020-01-01 00:00:00', NULL, TRUE)")
        before = targets.rows("history", columns=VERSIONS)
        with pytest.raises(SyncFailed, match=r"Table '[a-z]+': the target has rows without a value in the key column 'id'"):
            targets.sync("history")
        assert targets.rows("history", columns=VERSIONS) == before


def test_a_mirror_becomes_a_history(two_into: Link) -> None:
    """For a former mirror, the error has the statements to run, or says that the key cannot change."""
    two_into.create("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(20))")
    two_into.source.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    two_into.sync_one("t")
    two_into.source.execute("UPDATE t SET v = 'c' WHERE id = 2")
    before = two_into.target.rows("t")
    needs = r"no columns 'valid_from', 'valid_to', 'is_current', which mode history needs \(options valid_from, valid_to, is_"
    with pytest.raises(SyncFailed, match=needs) as refused:
        two_into.sync_one("t", {"mode": "history"})
    assert two_into.target.rows("t") == before
    message = str(refused.value)
    if two_into.target.dialect in ("sqlite", "duckdb"):
        assert "cannot change a primary key" in message
        assert "let create_table make a new one" in message
        return
    statements = re.findall(r"ALTER TABLE .*?(?=;)", message)
    assert len(statements) == 4
    two_into.target.execute(*statements)
    assert counts(two_into.sync_one("t", {"mode": "history"})) == ("changed", 0, 1, 0)
    assert counts(two_into.sync_one("t", {"mode": "history"})) == ("unchanged", 0, 0, 0)


def test_a_key_without_the_time(two_into: Link) -> None:
    """A primary key without valid_from, or another unique key, is refused with what to do; nothing is written."""
    times = "valid_from {DATETIME} NOT NULL, valid_to {DATETIME} NULL, is_current BOOLEAN NOT NULL"
    two_into.source.execute("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES (1, 'a')")
    two_into.target.execute(
        f"CREATE TABLE short (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(20), {times})",
        f"CREATE TABLE doubled (id INTEGER NOT NULL, v VARCHAR(20) UNIQUE, {times}, PRIMARY KEY (id, valid_from))",
    )
    fixed = two_into.target.dialect in ("sqlite", "duckdb")
    remedy = "cannot change a primary key" if fixed else "ALTER TABLE .*ADD PRIMARY KEY"
    for table, message in (
        ("short", rf"its primary key is id, and mode history needs id, valid_from \(option valid_from\)[\s\S]*{remedy}"),
        ("doubled", "the unique key .*forbids the second version of a row.*Drop it, or add valid_from to it"),
    ):
        with pytest.raises(SyncFailed, match=message):
            two_into.sync_one("t", {"table": table, "mode": "history"})
        assert two_into.target.rows(table) == []
    two_into.assert_clean()


@pytest.mark.quick_on("mariadb")
def test_a_key_that_is_written_otherwise(two_into: Link) -> None:
    """A key that changes to an equal form ends one row's version, and begins another's."""
    two_into.source.execute("CREATE TABLE t (id VARCHAR(20) PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES ('ab', 'x')")
    two_into.target.execute(
        "CREATE TABLE history (id {CASELESS} NOT NULL, v VARCHAR(20), valid_from {DATETIME} NOT NULL,"
        " valid_to {DATETIME} NULL, is_current BOOLEAN NOT NULL, PRIMARY KEY (id, valid_from))"
    )
    options = {"table": "history", "mode": "history", "max_deletes": "100%"}
    two_into.sync_one("t", options)
    two_into.source.execute("UPDATE t SET id = 'AB'")
    assert counts(two_into.sync_one("t", options)) == ("changed", 1, 0, 1)
    assert counts(two_into.sync_one("t", options)) == ("unchanged", 0, 0, 0)
    assert [row[:2] for row in two_into.target.rows("history")] == [("AB", "x"), ("ab", "x")]


@pytest.mark.parametrize("change", ["UPDATE t SET id = 1.10 WHERE id = 1.1", "UPDATE t SET id = 1.10, v = 'y' WHERE id = 1.1"])
def test_a_decimal_key_that_is_written_otherwise(postgresql_url: str, change: str) -> None:
    """The same holds for a decimal of PostgreSQL that gets another number of digits."""
    with linked(postgresql_url, postgresql_url) as link:
        link.protocol = "2"
        link.source.execute("CREATE TABLE t (id NUMERIC PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES (1.1, 'x'), (2, 'z')")
        link.target.execute(
            "CREATE TABLE history (id NUMERIC NOT NULL, v VARCHAR(20), valid_from TIMESTAMP NOT NULL, valid_to TIMESTAMP,"
            " is_current BOOLEAN NOT NULL, PRIMARY KEY (id, valid_from))"
        )
        options = {"table": "history", "mode": "history", "max_deletes": "100%"}
        link.sync_one("t", options)
        link.source.execute(change)
        assert counts(link.sync_one("t", options)) == ("changed", 1, 0, 1)
        assert counts(link.sync_one("t", options)) == ("unchanged", 0, 0, 0)
        assert [str(row[0]) for row in link.target.rows("history")] == ["1.1", "1.10", "2"]


@pytest.mark.quick_on("mysql", "postgresql")
def test_columns_of_other_types(two_into: Link) -> None:
    """Times may have a time zone and fewer digits, and ``is_current`` may be a number."""
    kinds = {"postgresql": "TIMESTAMPTZ(3)", "mysql": "TIMESTAMP(3)", "sqlite": "TIMESTAMP", "duckdb": "TIMESTAMPTZ"}
    kind = kinds[two_into.target.dialect]
    two_into.source.execute("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES (1, 'a')")
    two_into.target.execute(
        f"CREATE TABLE history (id INTEGER NOT NULL, v VARCHAR(20), valid_from {kind} NOT NULL DEFAULT '2000-01-01 00:00:00',"
        f" valid_to {kind} NULL, is_current SMALLINT NOT NULL, PRIMARY KEY (id, valid_from))"
    )
    options = {"table": "history", "mode": "history"}
    began = now()
    for value in ("b", "c", "d"):
        assert two_into.sync_one("t", options).verified == "digest"
        two_into.source.execute(f"UPDATE t SET v = '{value}'")
    versions = sorted(two_into.target.rows("history"), key=lambda row: str(row[1]))
    assert [(row[1], row[4]) for row in versions] == [("a", 0), ("b", 0), ("c", 1)]
    assert [row[3] for row in versions] == [versions[1][2], versions[2][2], None]
    first = datetime.fromisoformat(str(versions[0][2]))
    assert timedelta(milliseconds=-1) <= first - began < timedelta(minutes=5)
