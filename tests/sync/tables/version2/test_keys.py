"""Keys that the configuration names and that do not tell rows apart."""

from __future__ import annotations

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from tests.sync.link import Link

CREATE = "CREATE TABLE t (id INTEGER PRIMARY KEY, code VARCHAR(20) NOT NULL, v INTEGER)"


def refused(link: Link, name: str = "t") -> str:
    """Sync, which fails and changes nothing; return the error."""
    rows = link.target.rows(name)
    with pytest.raises(SyncFailed) as failure:
        link.sync_one(name, {"primary": ["code"]})
    assert not failure.value.retryable
    assert link.target.rows(name) == rows
    link.assert_clean()
    return str(failure.value)


@pytest.fixture
def keyed(same: Link) -> Link:
    """Give tables whose key is said to be ``code``, on both sides."""
    same.protocol = "2"
    same.offered["t"] = {"primary": "code"}
    same.create(CREATE)
    return same


def test_a_source_key_that_is_not_unique_is_refused(keyed: Link) -> None:
    """Version 2: the server names the table and the columns that do not identify rows."""
    keyed.source.execute("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 1), (3, 'a', 2)")
    assert "several rows with the same code, which `primary` names" in refused(keyed)


def test_a_target_key_that_is_not_unique_is_refused(keyed: Link) -> None:
    """Version 2: duplicate keys of the target are an error that names the key."""
    keyed.source.execute("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 1)")
    keyed.target.execute("INSERT INTO t VALUES (1, 'a', 1), (3, 'a', 2)")
    assert "several rows of the target have one key (code)" in refused(keyed)


def test_a_target_key_of_null_is_refused(keyed: Link) -> None:
    """Version 2: NULL keys of the target are an error that names table and column."""
    keyed.source.execute("INSERT INTO t VALUES (1, 'a', 1)")
    keyed.target.execute("DROP TABLE t", CREATE.replace(" NOT NULL", ""), "INSERT INTO t VALUES (1, 'a', 1), (3, NULL, 2)")
    assert "Table 't': the target has rows without a value in the key column 'code'. Fill" in refused(keyed)


def test_version_1_names_the_key_that_is_not_unique(into: Link) -> None:
    """Version 1: duplicate keys in an answer are an error that says so."""
    into.offered["t"] = {"primary": "code"}
    into.create(CREATE)
    into.source.execute("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 1), (3, 'a', 2)")
    error = refused(into)
    assert "several rows of the source have one key (code)" in error or "Two rows of the source are one to the target" in error


def test_each_engine_finds_keys_that_are_not_unique(into: Link) -> None:
    """Keys are duplicates if they are equal by bytes."""
    into.target.execute(CREATE, "INSERT INTO t VALUES (1, 'a', 1), (2, 'A', 1), (3, 'b', 2)")
    database = into.target.database
    with database.connect() as connection:
        table = database.catalog.describe(connection, "t")
        identity, code, value = table.columns
        assert not database.reader.has_duplicates(connection, table, [identity])
        assert not database.reader.has_duplicates(connection, table, [code])
        assert not database.reader.has_duplicates(connection, table, [value, identity])
        assert database.reader.has_duplicates(connection, table, [value])
        into.target.execute("INSERT INTO t VALUES (4, 'A', 3)")
        assert database.reader.has_duplicates(connection, table, [code])
        assert not database.reader.has_duplicates(connection, table, [code, value])


def test_keys_that_differ_only_in_case_tell_rows_apart(keyed: Link) -> None:
    """Keys are compared by bytes with any collation, and a unique key is synced."""
    keyed.source.execute("INSERT INTO t VALUES (1, 'a', 1), (2, 'A', 1), (3, 'b', 2)")
    keyed.sync_one("t", {"primary": ["code"]})
    keyed.assert_equal("t")


@pytest.mark.parametrize("sql_type", ["VARCHAR(20)", "DECIMAL(20,0)", "BOOLEAN", "BIT(1)"])
def test_integer_keys_land_in_keys_of_other_types(two_into: Link, sql_type: str) -> None:
    """Ranges of the source's integers are found in target columns of other types, beside other values."""
    two_into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)", "INSERT INTO t VALUES (0, 1), (1, 2)")
    two_into.target.execute(f"CREATE TABLE t (id {sql_type} NOT NULL PRIMARY KEY, v INTEGER)")
    two_into.sync_one("t")
    two_into.source.execute("UPDATE t SET v = 7 WHERE id = 1")
    odd = sql_type == "VARCHAR(20)"
    if odd:
        two_into.target.execute("INSERT INTO t VALUES ('odd', 9), ('1x', 9)")

    report = two_into.sync_one("t")

    assert (report.rows_inserted, report.rows_updated, report.rows_deleted) == (0, 1, 2 * odd)
    assert two_into.sync_one("t").status == "unchanged"


@pytest.mark.parametrize("sql_type", ["DATETIME", "TIME", "UUID", "BLOB"])
def test_keys_that_are_written_otherwise(two_same: Link, sql_type: str) -> None:
    """SQLite: rows with keys equal to the source's in another form are updated and deleted."""
    first, second, other = {
        "DATETIME": ("2024-01-01 00:00:00", "2024-01-02T00:00:00Z", "2024-01-01 00:00:00.000"),
        "TIME": ("00:00:00", "01:00:00.10", "00:00:00.0"),
        "UUID": (f"{0xA:036x}", f"{0xB:036X}", f"{0xA:036X}"),
        "BLOB": ("a", "b", "a"),
    }[sql_type]
    two_same.create(f"CREATE TABLE t (k {sql_type} NOT NULL, n INTEGER NOT NULL, v INTEGER, PRIMARY KEY (k, n))")
    two_same.source.execute(f"INSERT INTO t VALUES ('{first}', 1, 1), ('{second}', 2, 1), ('{second}', 3, 1)")
    two_same.target.execute(f"INSERT INTO t VALUES ('{other}', 1, 2), ('{second}', 2, 1), ('{second}', 4, 1)")

    report = two_same.sync_one("t")

    assert (report.rows_inserted, report.rows_updated, report.rows_deleted) == (1, 1, 1)
    assert sorted(row[1:] for row in two_same.target.rows("t")) == [(1, 1), (2, 1), (3, 1)]
    assert two_same.sync_one("t").status == "unchanged"
