"""Tables from a server into a database: what arrives, what is reported, and what is refused."""

from __future__ import annotations

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.sync import table_differs
from tests.sync.link import Link

ORDERS = "CREATE TABLE orders (id BIGINT PRIMARY KEY, name VARCHAR(50) NOT NULL, note TEXT, amount DECIMAL(12,2), at {DATETIME})"
ROWS = (
    "INSERT INTO orders VALUES"
    " (-5, 'Ärger 東京 😀', 'a|b', 1.10, '2024-02-29 12:34:56.123456'),"
    " (1, '', NULL, -0.01, '1970-01-01 00:00:01.000000'),"
    " (2, 'trailing  ', 'line' , 1234567890.12, NULL),"
    " (9007199254740993, 'O''Brien \"x\" \\ /', 'NULL9cf4-973a-4539-a5f2-8d4bde0aNULL', NULL, '2038-01-19 03:14:07.000001')"
)


def test_everything_arrives_changes_and_arrives_again(link: Link) -> None:
    """On every pair of engines, a table arrives completely, then its changes, and then nothing."""
    link.create(ORDERS)
    link.source.execute(ROWS.replace("\\", "\\\\") if link.source.dialect == "mysql" else ROWS)
    first = link.sync_one("orders")
    assert (first.status, first.rows_inserted, first.rows_total, first.rows_received) == ("changed", 4, 4, 4)
    link.assert_equal("orders")

    link.source.execute(
        "DELETE FROM orders WHERE id = 2",
        "UPDATE orders SET name = 'Changed', amount = 7 WHERE id = 1",
        "INSERT INTO orders VALUES (77, 'new', '', 0, '2024-01-01 00:00:00.000000')",
    )
    second = link.sync_one("orders")
    assert (second.status, second.rows_inserted, second.rows_updated, second.rows_deleted) == ("changed", 1, 1, 1)
    link.assert_equal("orders")

    third = link.sync_one("orders")
    assert (third.status, third.rows_total, third.verified) == ("unchanged", 4, third.verified)
    link.assert_equal("orders")


def test_equal_tables_cost_no_rows(link: Link) -> None:
    """Integers, texts, decimals and timestamps hash alike on MySQL, MariaDB and PostgreSQL, so an equal table moves no row."""
    if "sqlite" in (link.source.dialect, link.target.dialect) and link.source.dialect != link.target.dialect:
        pytest.skip("SQLite keeps decimals as floating point numbers, whose text is another: see docs/explanation/types.md")
    link.create(ORDERS)
    link.source.execute(ROWS.replace("\\", "\\\\") if link.source.dialect == "mysql" else ROWS)
    assert link.sync_one("orders").verified == "hash"
    again = link.sync_one("orders")
    assert (again.status, again.rows_received, again.verified) == ("unchanged", 0, "hash")


def test_text_keys_and_odd_names_arrive(link: Link) -> None:
    """Composite and text keys, reserved words, spaces and quotes in names work on every pair."""
    quote = link.source.database.quote
    other = link.target.database.quote
    statement = (
        "CREATE TABLE {table} ({order} VARCHAR(20) NOT NULL, {key} INT NOT NULL, {space} VARCHAR(20),"
        " PRIMARY KEY ({order}, {key}))"
    )
    names = {"table": "select", "order": "order", "key": "naïve key", "space": "a b"}
    link.source.execute(statement.format_map({name: quote(value) for name, value in names.items()}))
    link.target.execute(statement.format_map({name: other(value) for name, value in names.items()}))
    link.source.execute(f"INSERT INTO {quote('select')} VALUES ('b', 1, 'x'), ('B2', 2, 'y'), ('b', 2, NULL), ('é', 1, 'z')")
    assert link.sync_one("select").rows_inserted == 4
    link.source.execute(f"UPDATE {quote('select')} SET {quote('a b')} = 'changed' WHERE {quote('naïve key')} = 2")
    assert link.sync_one("select").rows_updated == 2
    link.assert_equal("select")


def test_an_empty_source_needs_permission(into: Link) -> None:
    """An empty source empties the target only if that is allowed."""
    into.create("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    into.target.execute("INSERT INTO t VALUES (1, 1)")
    with pytest.raises(SyncFailed, match="allow_empty_source") as failure:
        into.sync_one("t")
    assert not failure.value.retryable
    assert into.target.rows("t") == [(1, 1)]
    into.assert_clean()
    assert into.sync_one("t", {"allow_empty_source": True}).rows_deleted == 1
    into.assert_equal("t")


def test_too_many_deletes_need_permission(same: Link) -> None:
    """A merge that would delete more than half of a table, and more than 100 rows, stops and names the option."""
    same.create("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    same.source.execute("INSERT INTO t VALUES (1)")
    same.target.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 203) INSERT INTO t SELECT i FROM n"
    )
    with pytest.raises(SyncFailed, match="would delete 202 of 203 rows; max_deletes is 50%"):
        same.sync_one("t")
    assert len(same.target.rows("t")) == 203
    same.assert_clean()
    assert same.sync_one("t", {"max_deletes": 202}).rows_deleted == 202


def test_a_dry_run_writes_nothing(into: Link) -> None:
    """A dry run reports what a run would do, and leaves the target as it was."""
    into.create("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    into.source.execute("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)")
    into.target.execute("INSERT INTO t VALUES (2, 7), (4, 4)")
    before = into.target.rows("t")
    report = into.sync_one("t", dry_run=True)
    assert (report.status, report.rows_inserted, report.rows_updated, report.rows_deleted) == ("planned", 2, 1, 1)
    assert into.target.rows("t") == before
    into.assert_clean()


def test_renames_columns_and_another_table(into: Link) -> None:
    """Columns may be renamed or left out, and the target may have another name and its own columns."""
    into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20), secret VARCHAR(20))")
    into.source.execute("INSERT INTO t VALUES (1, 'a', 'x'), (2, 'b', 'y')")
    into.target.execute("CREATE TABLE copies (id INTEGER PRIMARY KEY, label VARCHAR(20), local VARCHAR(20) DEFAULT 'mine')")
    into.target.execute("INSERT INTO copies VALUES (1, 'old', 'kept')")
    options = {"table": "copies", "columns": ["id", "name"], "renames": {"name": "label"}, "import_indexes": ["label"]}
    report = into.sync_one("t", options)
    assert into.target.rows("copies") == [(1, "a", "kept"), (2, "b", "mine")]
    assert report.verified == "rows"
    assert any("not synced" in warning for warning in report.warnings)


def test_the_key_comes_with_the_columns(into: Link) -> None:
    """Key columns are always sent and hashed, even if `columns` does not name them, also renamed."""
    into.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20), secret VARCHAR(20))",
        "INSERT INTO t VALUES (1, 'a', 'x'), (2, 'b', 'y')",
    )
    into.target.execute("CREATE TABLE t (number INTEGER PRIMARY KEY, name VARCHAR(20))", "INSERT INTO t VALUES (1, 'old')")
    into.offered["t"] = {"columns": ["id", "name"]}
    options = {"columns": ["name"], "renames": {"id": "number"}}
    report = into.sync_one("t", options)
    assert (report.rows_inserted, report.rows_updated) == (1, 1)
    assert into.target.rows("t") == [(1, "a"), (2, "b")]
    again = into.sync_one("t", options)
    assert (again.status, again.verified) == ("unchanged", "hash")


def test_another_order_of_columns_still_costs_no_merge(into: Link) -> None:
    """A target with another column order counts as equal, because it is hashed in the source's order."""
    into.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9), b VARCHAR(9))", "INSERT INTO t VALUES (1, 'x', 'y')"
    )
    into.target.execute("CREATE TABLE t (b VARCHAR(9), id INTEGER PRIMARY KEY, a VARCHAR(9))")
    assert into.sync_one("t").verified == "hash"
    again = into.sync_one("t")
    assert (again.status, again.verified) == ("unchanged", "hash")


@pytest.mark.parametrize("staging", ["permanent", "temporary", "tests.sync.tables.staging_class.NamedStaging"])
def test_every_kind_of_staging(into: Link, staging: str) -> None:
    """Rows may be staged in a permanent table, a temporary one, or one from a user's class."""
    into.create("CREATE TABLE t (id INTEGER PRIMARY KEY, n VARCHAR(9))")
    into.source.execute("INSERT INTO t VALUES (1, 'x'), (2, NULL)")
    assert into.sync_one("t", {"staging": staging}).rows_inserted == 2
    into.assert_equal("t")
    assert into.target.names() == ["t"]


def test_a_configured_key_serves_a_table_without_one(into: Link) -> None:
    """A table without a primary key is synced by the columns that 'primary' names, on both sides."""
    into.create("CREATE TABLE t (code VARCHAR(9) NOT NULL, n INTEGER)")
    into.source.execute("INSERT INTO t VALUES ('a', 1), ('b', 2)")
    into.offered["t"] = {"primary": "code"}
    assert into.sync_one("t", {"primary": "code"}).rows_inserted == 2
    into.source.execute("UPDATE t SET n = 3 WHERE code = 'b'")
    assert into.sync_one("t", {"primary": "code"}).rows_updated == 1
    assert into.target.rows("t") == into.source.rows("t")


def test_tables_without_primary_keys_are_hashed_by_the_configured_key(into: Link) -> None:
    """Without primary keys on both sides, an equal table sends no row, and a sensor sees a difference."""
    into.create("CREATE TABLE t (code VARCHAR(9) NOT NULL, n INTEGER)")
    into.source.execute("INSERT INTO t VALUES ('b', 2), ('a', 1)")
    into.offered["t"] = {"primary": "code"}
    options = {"primary": "code"}

    assert into.sync_one("t", options).rows_inserted == 2
    again = into.sync_one("t", options)
    assert (again.status, again.rows_received, again.verified) == ("unchanged", 0, "hash")
    with into.client("t") as client:
        assert not table_differs(client, table_from_options("t", options), into.target.database)
    into.target.execute("UPDATE t SET n = 3 WHERE code = 'b'")
    with into.client("t") as client:
        assert table_differs(client, table_from_options("t", options), into.target.database)


def test_other_orders_of_columns_without_primary_keys_are_not_taken_for_equal(into: Link) -> None:
    """Values in another order of columns arrive under the right names, and are not taken for equal before."""
    into.source.execute("CREATE TABLE t (code VARCHAR(9) NOT NULL, n INTEGER)", "INSERT INTO t VALUES ('a', 1), ('b', 2)")
    into.target.execute("CREATE TABLE t (n INTEGER, code VARCHAR(9) NOT NULL)")
    into.offered["t"] = {"primary": "code"}

    assert into.sync_one("t", {"primary": "code"}).rows_inserted == 2
    assert into.target.rows("t", "code", "n") == [("a", 1), ("b", 2)]


def test_a_table_without_a_key_is_refused(into: Link) -> None:
    """Without a key the error says how to name one, and nothing is written."""
    into.create("CREATE TABLE t (code VARCHAR(9), n INTEGER)")
    with pytest.raises(SyncFailed, match=r"has no primary key\. Name one with 'primary'"):
        into.sync_one("t")
    assert into.target.names() == ["t"]


def test_a_missing_target_prints_its_create_table(into: Link) -> None:
    """The error for a missing target has a valid CREATE TABLE, after which the sync works."""
    into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20), ratio DOUBLE)")
    into.source.execute("INSERT INTO t VALUES (1, 'x', 0.5), (2, NULL, NULL)")
    with pytest.raises(SyncFailed, match="There is no table 't'") as failure:
        into.sync_one("t")
    assert into.target.names() == []
    statement = str(failure.value)[str(failure.value).index("CREATE TABLE") :]
    into.target.execute(statement)
    assert into.sync_one("t").rows_inserted == 2


@pytest.mark.parametrize("rows", [0, 2])
def test_a_table_that_is_made_is_a_change(two_into: Link, rows: int) -> None:
    """A target that a run creates is reported as created, with and without rows, and a dry run says so before."""
    two_into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)", *(f"INSERT INTO t VALUES ({row})" for row in range(rows)))
    options = {"table": "copies", "create_table": True}
    made = ("make table 'copies'",)
    for status, dry_run in (("planned", True), ("changed", False)):
        report = two_into.sync_one("t", options, dry_run=dry_run)
        assert (report.status, report.rows_inserted, report.schema_changes, report.warnings) == (status, rows, made, ())
    again = two_into.sync_one("t", options)
    assert (again.status, again.schema_changes) == ("unchanged", ())


def test_a_missing_target_whose_key_the_source_does_not_send(same: Link) -> None:
    """If the guessed key is not a column, the error names the source's columns instead of a CREATE TABLE."""
    same.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20))", "INSERT INTO t VALUES (1, 'x')")
    with pytest.raises(SyncFailed, match=r"no column 'code', which 'primary' names.*id, name") as failure:
        same.sync_one("t", {"primary": "code"})
    assert "CREATE TABLE" not in str(failure.value)


def test_a_column_that_the_target_lacks_is_refused(into: Link) -> None:
    """A column that only the source has is an error that says what to do, and nothing is written."""
    into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, extra VARCHAR(20))", "INSERT INTO t VALUES (1, 'x')")
    into.target.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    with pytest.raises(SyncFailed, match="has no column 'extra', which the source sends"):
        into.sync_one("t")
    assert into.target.rows("t") == []
    into.assert_clean()


def test_a_value_that_does_not_fit_is_refused(into: Link) -> None:
    """A too long text is an error that names table and column; nothing is written or left behind."""
    if into.target.dialect in ("sqlite", "duckdb"):
        pytest.skip("the length of a text is not limited there")
    into.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20))", "INSERT INTO t VALUES (1, 'ok'), (2, 'too long')"
    )
    into.target.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(3))")
    with pytest.raises(SyncFailed, match=r"'?t'?.*name") as failure:
        into.sync_one("t")
    assert not failure.value.retryable
    assert into.target.rows("t") == []
    into.assert_clean()


def test_all_tables_or_none(into: Link) -> None:
    """In a single transaction, one failing table leaves all as they were; with separate ones, the others arrive."""
    for name in ("a", "b"):
        into.source.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, n INTEGER)", f"INSERT INTO {name} VALUES (1, 1)")
    into.target.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, n INTEGER)", "CREATE TABLE b (id INTEGER PRIMARY KEY)")
    with pytest.raises(SyncFailed) as failure:
        into.sync("a", "b", single_transaction=True)
    assert [report.status for report in failure.value.reports] == ["failed", "failed"]
    assert str(failure.value.reports[0].error) == ("Nothing was changed, since it shares one transaction with 'b', which failed.")
    assert "'n'" in str(failure.value.reports[1].error)
    assert into.target.rows("a") == []
    with pytest.raises(SyncFailed) as failure:
        into.sync("a", "b", single_transaction=False)
    assert [report.status for report in failure.value.reports] == ["changed", "failed"]
    assert into.target.rows("a") == [(1, 1)]
    into.assert_clean()


def test_foreign_keys_do_not_stop_a_merge_and_orphans_are_counted(into: Link) -> None:
    """Parent and child arrive in one transaction in any order, and orphans are reported."""
    parent = "CREATE TABLE parents (id INTEGER PRIMARY KEY)"
    child = "CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER{reference})"
    into.source.execute(parent, child.replace("{reference}", ""))
    into.target.execute(
        parent, child.replace("{reference}", ", CONSTRAINT to_parent FOREIGN KEY (parent) REFERENCES parents (id)")
    )
    into.source.execute("INSERT INTO parents VALUES (1), (2)", "INSERT INTO children VALUES (1, 2), (2, 1)")
    reports = into.sync("children", "parents")
    assert [report.rows_inserted for report in reports] == [2, 2]
    assert [report.orphans for report in reports] == [{}, {}]


def test_values_that_version_1_cannot_carry_are_refused_before_anything_is_written(link: Link) -> None:
    """Non-UTF-8 bytes are refused by the source; the error names table, column and version 2."""
    link.create("CREATE TABLE t (id INTEGER PRIMARY KEY, picture {BYTES})")
    literal = {"postgresql": "'\\xff00'::bytea"}.get(link.source.dialect, "X'FF00'")
    link.source.execute(f"INSERT INTO t VALUES (1, {literal})")
    with pytest.raises(SyncFailed, match=r"(?s)picture.*version 2"):
        link.sync_one("t")
    assert link.target.rows("t") == []
    link.assert_clean()


def test_table_differs_asks_for_a_hash_only(into: Link) -> None:
    """Finding whether a table differs sends no row."""
    into.create("CREATE TABLE t (id INTEGER PRIMARY KEY, n VARCHAR(9))")
    into.source.execute("INSERT INTO t VALUES (1, 'x')")
    with into.client("t") as client:
        assert table_differs(client, table_from_options("t", {}), into.target.database)
        assert client.traffic.requests == 1
    into.sync_one("t")
    with into.client("t") as client:
        assert not table_differs(client, table_from_options("t", {}), into.target.database)


def test_options_of_version_2_are_refused_by_name(same: Link) -> None:
    """A window, which version 1 does not support, is refused before any request."""
    same.create("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    with pytest.raises(SyncFailed, match="window needs version 2"):
        same.sync_one("t", {"window": ("id", "1", "2")})
    assert same.target.rows("t") == []
