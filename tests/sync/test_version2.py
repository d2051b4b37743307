"""Tables over version 2 of the protocol: only the rows that differ move, between every two engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.sync import table_differs
from airflow_provider_sync.tables.connect import open_engine
from tests.sync.link import Link, linked

ROWS = 4_000
SERIES = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT {columns} FROM n"
LITERAL = {"postgresql": "'\\x{0}'::bytea"}


def fill(link: Link, table: str, columns: str, rows: int = ROWS) -> None:
    """Make rows 1 to ``rows`` at the source; ``i`` is the number in ``columns``."""
    select = SERIES.format(rows=rows, columns=columns)
    if link.source.dialect != "mysql":
        link.source.execute(f"INSERT INTO {table} {select}")
        return
    # MySQL has WITH behind INSERT, and stops recursion at a thousand unless told.
    with link.source.database.connect() as connection:
        for variable in ("cte_max_recursion_depth", "max_recursive_iterations"):
            found = connection.exec_driver_sql(f"SHOW VARIABLES LIKE '{variable}'").first()
            if found:
                connection.exec_driver_sql(f"SET SESSION {variable} = 1000000")
        connection.exec_driver_sql(f"INSERT INTO {table} {select}".replace("%", link.source.percent))


def concat(link: Link, *parts: str) -> str:
    """Join texts in the source's dialect."""
    return (
        f"concat({', '.join(parts)})"
        if link.source.dialect == "mysql"
        else " || ".join(f"CAST({part} AS TEXT)" for part in parts)
    )


@pytest.fixture
def two(link: Link) -> Link:
    """Give source and target on every pair of engines, and a client that takes version 2."""
    link.protocol = "2"
    return link


@pytest.fixture
def two_into(into: Link) -> Link:
    """Give a source on SQLite, a target on each engine, and a client that takes version 2."""
    into.protocol = "2"
    return into


@pytest.fixture
def two_same(same: Link) -> Link:
    """Give source and target on SQLite, and a client that takes version 2."""
    same.protocol = "2"
    return same


def test_only_the_rows_that_differ_move(two: Link) -> None:
    """On every pair of engines only the rows that differ are sent, and equal tables cost no row."""
    two.create("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(50), amount DECIMAL(12,2), at {DATETIME}, ratio {DOUBLE})")
    fill(
        two,
        "t",
        f"i * 3, {concat(two, chr(39) + 'row ' + chr(39), 'i')}, i * 0.25, '2024-02-29 12:34:56.123456', i * 0.125".replace(
            "'2024-02-29 12:34:56.123456'",
            "TIMESTAMP '2024-02-29 12:34:56.123456'" if two.source.dialect != "sqlite" else "'2024-02-29 12:34:56.123456'",
        ),
    )
    first = two.sync_one("t")
    assert (first.status, first.protocol, first.rows_inserted, first.rows_received) == ("changed", 2, ROWS, ROWS)
    assert first.verified == "digest"
    two.source.execute(
        "UPDATE t SET name = 'changed' WHERE id IN (3, 600, 1200, 1800, 2400)",
        "UPDATE t SET ratio = NULL WHERE id IN (30, 12000)",
        "DELETE FROM t WHERE id IN (300, 3300, 4200)",
        "INSERT INTO t VALUES (-7, 'low', 1, NULL, 0.5), (4, 'between', NULL, NULL, NULL), (2998, 'x', 0, NULL, 1e300),"
        " (12001, 'high', 3.5, NULL, 0), (9000000000000000000, 'far', -0.01, NULL, -2.5)",
    )
    second = two.sync_one("t")
    counts = second.rows_inserted, second.rows_updated, second.rows_deleted
    assert (second.status, *counts, second.rows_total, second.verified) == ("changed", 5, 7, 3, ROWS + 2, "digest")
    assert second.rows_received == 12
    assert second.requests == 4
    third = two.sync_one("t")
    assert (third.status, third.rows_total, third.rows_received, third.verified) == ("unchanged", ROWS + 2, 0, "digest")
    assert third.requests == 2
    two.assert_equal("t")


@pytest.mark.parametrize(("kind", "key"), [("BIGINT", "i"), ("VARCHAR(40)", "'key ' || i")])
def test_few_changes_cost_few_bytes(two_into: Link, kind: str, key: str) -> None:
    """15 changes among 20,000 rows, with integer and with text keys, cost at most four requests and a small part of the table."""
    two_into.create(f"CREATE TABLE t (code {kind} PRIMARY KEY, a VARCHAR(40), b VARCHAR(64))")
    fill(two_into, "t", f"{key}, 'value ' || (i * 7919), hex(randomblob(32))", 20_000)
    whole = two_into.sync_one("t")
    two_into.source.execute("UPDATE t SET b = 'other' WHERE rowid % 1300 = 0")
    report = two_into.sync_one("t")
    assert (report.rows_updated, report.rows_inserted, report.rows_deleted, report.rows_received) == (15, 0, 0, 15)
    assert report.requests == 4
    assert report.bytes_sent < 5_000
    assert report.bytes_received < 100_000 < whole.bytes_received / 7
    two_into.assert_equal("t")


def test_every_kind_of_value_changes_and_arrives(two: Link) -> None:
    """Binary values, NULL, tiny and huge doubles, and texts full of separators arrive, change, and arrive again."""
    two.create("CREATE TABLE t (id INTEGER PRIMARY KEY, picture {BYTES}, ratio {DOUBLE}, note TEXT, at {DATETIME})")

    def binary(text: str) -> str:
        return LITERAL.get(two.source.dialect, "X'{0}'").format(text)

    escaped = "E'tab\\tline\\nback\\\\slash'" if two.source.dialect == "postgresql" else "'tab\tline\nback\\\\slash'"
    two.source.execute(
        f"INSERT INTO t VALUES (1, {binary('00ff0a095c')}, 5e-324, {escaped}, '2024-02-29 12:34:56.000001'),"
        f" (2, {binary('')}, 1.7976931348623157e308, '', NULL), (3, NULL, 0.1, 'NULL', '1970-01-01 00:00:00.000000'),"
        f" (4, {binary('4e')}, -1.5, '\\N', '2038-01-19 03:14:08.000000'), (5, {binary('c3a9')}, 1e15, 'Ärger 東京 😀 é', NULL)"
    )
    assert two.sync_one("t").rows_inserted == 5
    two.assert_equal("t")
    two.source.execute(
        f"UPDATE t SET picture = {binary('00ff0a095d')} WHERE id = 1",
        "UPDATE t SET picture = NULL, note = NULL WHERE id = 2",
        "UPDATE t SET ratio = 0.10000000000000002 WHERE id = 3",
        "UPDATE t SET note = '' WHERE id = 4",
        "UPDATE t SET at = '2024-01-01 00:00:00.500000' WHERE id = 5",
    )
    report = two.sync_one("t")
    assert (report.rows_updated, report.rows_inserted, report.rows_deleted) == (5, 0, 0)
    two.assert_equal("t")
    assert two.sync_one("t").status == "unchanged"


def test_texts_identify_rows_by_their_bytes(two: Link) -> None:
    """A key that changes only in its case, its accents or its trailing spaces is another key, composite ones too."""
    two.create("CREATE TABLE t (code VARCHAR(20) NOT NULL, part INT NOT NULL, v VARCHAR(20), PRIMARY KEY (code, part))")
    two.source.execute(
        "INSERT INTO t VALUES ('abc', 1, 'a'), ('Resume', 1, 'b'), ('blank', 2, 'c'), ('stays', -1, 'd'), ('a|b', 3, 'e')"
    )
    assert two.sync_one("t").rows_inserted == 5
    two.source.execute(
        "UPDATE t SET code = 'ABC' WHERE code = 'abc'",
        "UPDATE t SET code = 'Résumé' WHERE code = 'Resume'",
        "UPDATE t SET code = 'blank ' WHERE code = 'blank'",
        "UPDATE t SET v = 'D' WHERE code = 'stays'",
    )
    report = two.sync_one("t")
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted) == (3, 1, 3)
    two.assert_equal("t")


def test_unique_values_are_swapped_and_rotated(two: Link) -> None:
    """Unique values that two rows swap, or three rotate, are normal input."""
    two.create("CREATE TABLE t (id INTEGER PRIMARY KEY, place VARCHAR(9) NOT NULL UNIQUE, other INTEGER UNIQUE)")
    two.source.execute("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (4, 'd', 4), (5, 'e', NULL), (6, 'f', 6)")
    two.sync_one("t")
    two.source.execute(
        "DELETE FROM t",
        "INSERT INTO t VALUES (1, 'b', 2), (2, 'a', 1), (3, 'd', 4), (4, 'e', 3), (5, 'c', NULL), (7, 'f', 6)",
    )
    report = two.sync_one("t")
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted) == (1, 5, 1)
    two.assert_equal("t")


def test_a_window_confines_a_sync(two: Link) -> None:
    """Inside a window rows come, change and go; outside nothing does, save a row that moved out, or one that came in."""
    two.create("CREATE TABLE t (id INTEGER PRIMARY KEY, at {DATETIME}, v VARCHAR(9))")
    two.offered["t"] = {"windows": ["at"]}

    def insert(*rows: tuple[int, str | None, str]) -> str:
        values = ", ".join(
            f"({key}, {f'{chr(39)}{day} 00:00:00.000000{chr(39)}' if day else 'NULL'}, '{v}')" for key, day, v in rows
        )
        return f"INSERT INTO t VALUES {values}"

    two.source.execute(
        insert(
            (1, "2024-01-01", "out"),
            (2, "2024-02-01", "first"),
            (3, "2024-02-29", "last"),
            (4, "2024-03-01", "out"),
            (5, None, "null"),
            (6, "2024-02-10", "new"),
            (7, "2024-05-05", "moved"),
            (8, "2024-02-11", "came in"),
        )
    )
    two.target.execute(
        insert(
            (1, "2024-01-01", "kept"),
            (3, "2024-02-29", "old"),
            (7, "2024-02-05", "old"),
            (8, "2023-01-01", "old"),
            (9, "2024-02-20", "goes"),
            (10, "2024-03-02", "kept"),
            (11, None, "kept"),
        )
    )
    options = {"window": ("at", "2024-02-01T00:00:00+00:00", "2024-03-01")}
    report = two.sync_one("t", options)
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted, report.rows_total) == (2, 3, 1, 4)
    source = {row[0]: row for row in two.source.rows("t")}
    target = {row[0]: row for row in two.target.rows("t")}
    assert sorted(target) == [1, 2, 3, 6, 7, 8, 10, 11]
    assert [target[number] for number in (2, 3, 6, 7, 8)] == [source[number] for number in (2, 3, 6, 7, 8)]
    assert {target[number][2] for number in (1, 10, 11)} == {"kept"}
    two.assert_clean()
    assert two.sync_one("t", options).status == "unchanged"
    two.source.execute("DELETE FROM t")
    with pytest.raises(SyncFailed, match="allow_empty_source"):
        two.sync_one("t", options)
    assert two.sync_one("t", {**options, "allow_empty_source": True}).rows_deleted == 4
    assert sorted(row[0] for row in two.target.rows("t")) == [1, 7, 10, 11]


def test_a_missing_target_is_made(two: Link) -> None:
    """``create_table`` makes a target from the source's description, and it holds what the source has."""
    two.source.execute(
        "CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(50) NOT NULL, amount DECIMAL(12,2), at {DATETIME},"
        " ratio {DOUBLE}, raw {BYTES})",
        "INSERT INTO t VALUES (1, 'ä', 1.10, '2024-02-29 12:34:56.123456', 0.1, NULL), (-2, '', NULL, NULL, NULL, NULL)",
    )
    options = {"create_table": True, "renames": {"name": "label"}}
    planned = two.sync_one("t", options, dry_run=True)
    assert (planned.status, planned.rows_inserted) == ("planned", 2)
    assert two.target.names() == []
    report = two.sync_one("t", options)
    assert (report.status, report.rows_inserted, report.verified) == ("changed", 2, "digest")
    assert two.target.describe("t").primary_key == ("id",)
    two.assert_equal("t")
    two.source.execute("UPDATE t SET name = 'changed' WHERE id = 1")
    assert two.sync_one("t", options).rows_updated == 1


def test_unsigned_and_negative_keys(two: Link) -> None:
    """The highest and lowest keys that an engine has, and huge gaps between keys, are cut into segments like any others."""
    unsigned = two.source.dialect == two.target.dialect == "mysql"
    two.create(f"CREATE TABLE t (id BIGINT{' UNSIGNED' if unsigned else ''} PRIMARY KEY, v VARCHAR(9))")
    keys = [0, 1, 2**63, 2**64 - 1] if unsigned else [-(2**63), -1, 0, 2**63 - 1]
    two.source.execute("INSERT INTO t VALUES " + ", ".join(f"({key}, 'a')" for key in keys))
    assert two.sync_one("t").rows_inserted == 4
    two.source.execute(
        f"UPDATE t SET v = 'b' WHERE id = {keys[3]}", f"DELETE FROM t WHERE id = {keys[1]}", "INSERT INTO t VALUES (77, 'c')"
    )
    report = two.sync_one("t")
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted) == (1, 1, 1)
    two.assert_equal("t")


def test_keys_far_apart_are_cut_again(two_into: Link) -> None:
    """A single key far from all others makes one segment of the rest; it is cut again, so that few digests travel."""
    two_into.create("CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(20))")
    fill(two_into, "t", "i, 'the same'", 40_000)
    two_into.source.execute("INSERT INTO t VALUES (4611686018427387904, 'far')")
    assert two_into.sync_one("t").rows_inserted == 40_001
    two_into.source.execute("UPDATE t SET v = 'other' WHERE id IN (5, 20000)")
    report = two_into.sync_one("t")
    assert (report.rows_updated, report.requests) == (2, 5)
    assert report.bytes_received < 20_000
    two_into.assert_equal("t")


def test_when_most_rows_differ_the_whole_table_is_sent(two_into: Link) -> None:
    """A sample shows that most rows differ; then all are sent in one stream."""
    two_into.create("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER, w VARCHAR(9))")
    fill(two_into, "t", "i, i, 'x'", 10_000)
    two_into.sync_one("t")
    two_into.source.execute("UPDATE t SET v = v + 1 WHERE id > 100", "DELETE FROM t WHERE id = 7")
    report = two_into.sync_one("t")
    assert (report.rows_received, report.requests, report.rows_updated, report.rows_deleted) == (9_999, 4, 9_900, 1)
    two_into.assert_equal("t")


def test_empty_tables_and_one_row(two_into: Link) -> None:
    """Two empty tables are equal; one row comes and changes; an empty source empties the target only where that is allowed."""
    two_into.create(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)", "CREATE TABLE u (code VARCHAR(9) PRIMARY KEY, v INTEGER)"
    )
    for name, key in (("t", "1"), ("u", "'a'")):
        empty = two_into.sync_one(name)
        assert (empty.status, empty.rows_total, empty.verified) == ("unchanged", 0, "digest")
        two_into.source.execute(f"INSERT INTO {name} VALUES ({key}, 1)")
        assert two_into.sync_one(name).rows_inserted == 1
        two_into.source.execute(f"UPDATE {name} SET v = 2")
        assert two_into.sync_one(name).rows_updated == 1
        two_into.source.execute(f"DELETE FROM {name}")
        with pytest.raises(SyncFailed, match="allow_empty_source") as failure:
            two_into.sync_one(name)
        assert not failure.value.retryable
        assert len(two_into.target.rows(name)) == 1
        two_into.assert_clean()
        assert two_into.sync_one(name, {"allow_empty_source": True}).rows_deleted == 1
        two_into.assert_equal(name)


def test_deletes_only_and_their_guard(two_into: Link) -> None:
    """Rows that the source lacks go, no row is fetched for that, and more than half of them only where it is allowed."""
    two_into.create("CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)")
    fill(two_into, "t", "i, i", 1000)
    two_into.sync_one("t")
    two_into.source.execute("DELETE FROM t WHERE id % 4 = 0")
    report = two_into.sync_one("t")
    assert (report.rows_deleted, report.rows_received, report.requests) == (250, 0, 3)
    two_into.source.execute("DELETE FROM t WHERE id > 100")
    with pytest.raises(SyncFailed, match="would delete 675 of 750 rows; max_deletes is 50%"):
        two_into.sync_one("t")
    assert len(two_into.target.rows("t")) == 750
    two_into.assert_clean()
    assert two_into.sync_one("t", {"max_deletes": "100%"}).rows_deleted == 675
    two_into.assert_equal("t")


def test_renames_columns_and_another_table(two_into: Link) -> None:
    """Columns may be renamed or left out, and the target may have another name, order and columns of its own."""
    two_into.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20), secret VARCHAR(20))",
        "INSERT INTO t VALUES (1, 'a', 'x'), (2, 'b', 'y')",
    )
    two_into.target.execute(
        "CREATE TABLE copies (label VARCHAR(20), local VARCHAR(20) DEFAULT 'mine', number INTEGER PRIMARY KEY)",
        "INSERT INTO copies VALUES ('old', 'kept', 1)",
    )
    options = {"table": "copies", "columns": ["name"], "renames": {"name": "label", "id": "number"}}
    report = two_into.sync_one("t", options)
    assert (report.rows_inserted, report.rows_updated, report.verified) == (1, 1, "digest")
    assert two_into.target.rows("copies") == [("a", "kept", 1), ("b", "mine", 2)]
    assert two_into.sync_one("t", options).status == "unchanged"
    two_into.source.execute("UPDATE t SET secret = 'other'")
    assert two_into.sync_one("t", options).status == "unchanged"


def test_a_dry_run_writes_nothing(two_into: Link) -> None:
    """A dry run reports what a run would do, and leaves the target as it was."""
    two_into.create("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    two_into.source.execute("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)")
    two_into.target.execute("INSERT INTO t VALUES (2, 7), (4, 4)")
    before = two_into.target.rows("t")
    report = two_into.sync_one("t", dry_run=True)
    assert (report.status, report.rows_inserted, report.rows_updated, report.rows_deleted) == ("planned", 2, 1, 1)
    assert two_into.target.rows("t") == before
    two_into.assert_clean()


def test_all_tables_or_none(two_into: Link) -> None:
    """In a single transaction one table that fails leaves all as they were, made ones gone; otherwise the rest arrives."""
    for name in ("a", "b", "c"):
        two_into.source.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, n INTEGER)", f"INSERT INTO {name} VALUES (1, 1)")
    two_into.target.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, n INTEGER)", "CREATE TABLE b (id INTEGER PRIMARY KEY)")
    options = {"c": {"create_table": True}}
    with pytest.raises(SyncFailed, match="has no column 'n'") as failure:
        two_into.sync("a", "b", "c", options=options, single_transaction=True)
    assert [report.status for report in failure.value.reports] == ["failed", "failed", "failed"]
    assert two_into.target.rows("a") == []
    assert two_into.target.names() == ["a", "b"]
    with pytest.raises(SyncFailed) as failure:
        two_into.sync("a", "b", "c", options=options, single_transaction=False)
    assert [report.status for report in failure.value.reports] == ["changed", "failed", "changed"]
    assert two_into.target.rows("a") == two_into.target.rows("c") == [(1, 1)]
    assert two_into.target.names() == ["a", "b", "c"]


@pytest.mark.parametrize("staging", ["permanent", "temporary", "tests.sync.staging_class.NamedStaging"])
def test_every_kind_of_staging(two_into: Link, staging: str) -> None:
    """Rows may land in a permanent table, a temporary one, or one that a class of the user makes."""
    two_into.create("CREATE TABLE t (id INTEGER PRIMARY KEY, n VARCHAR(9))")
    two_into.source.execute("INSERT INTO t VALUES (1, 'x'), (2, NULL), (3, 'y'), (4, 'z')")
    assert two_into.sync_one("t", {"staging": staging}).rows_inserted == 4
    two_into.source.execute("UPDATE t SET n = 'other' WHERE id = 1", "DELETE FROM t WHERE id = 2")
    assert two_into.sync_one("t", {"staging": staging}).rows_deleted == 1
    two_into.assert_equal("t")
    assert two_into.target.names() == ["t"]


def test_a_window_must_be_offered(two_same: Link) -> None:
    """A window on a column that the server does not allow is an error that names the option; nothing is written."""
    two_same.create("CREATE TABLE t (id INTEGER PRIMARY KEY, at DATE)")
    two_same.source.execute("INSERT INTO t VALUES (1, '2024-01-01')")
    with pytest.raises(SyncFailed, match="windows"):
        two_same.sync_one("t", {"window": ("at", "2024-01-01", "2024-02-01")})
    assert two_same.target.rows("t") == []
    two_same.assert_clean()


def test_negotiation_takes_what_the_server_has(two_same: Link) -> None:
    """``auto`` and ``2`` speak version 2 with a server that has it, ``1`` does not; the report says which was spoken."""
    two_same.create("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    for number, (protocol, spoken) in enumerate((("auto", 2), ("2", 2), ("1", 1))):
        two_same.protocol = protocol
        two_same.source.execute(f"INSERT INTO t VALUES ({number}, 1)")
        report = two_same.sync_one("t")
        assert (report.protocol, report.rows_inserted) == (spoken, 1)
    two_same.assert_equal("t")


def test_table_differs_asks_for_digests_only(two_into: Link) -> None:
    """Whether a table differs is answered without a row on the wire; a target that is to be made is not made for that."""
    two_into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n VARCHAR(9))", "INSERT INTO t VALUES (1, 'x')")
    options = table_from_options("t", {"create_table": True})
    with two_into.client("t") as client:
        assert table_differs(client, options, two_into.target.database)
        assert two_into.target.names() == []
    two_into.sync_one("t", {"create_table": True})
    with two_into.client("t") as client:
        assert not table_differs(client, options, two_into.target.database)
        assert client.traffic.requests == 2


def test_a_user_without_temporary_tables_is_told_which_privilege(mysql_url: str, tmp_path: Path) -> None:
    """Where the target's user may not make temporary tables, the error names the privilege, and nothing was changed."""
    owner = open_engine(mysql_url)
    database = owner.url.database
    with owner.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(9))")
        connection.exec_driver_sql("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
        connection.commit()
        connection.exec_driver_sql(f"CREATE USER {database}@localhost IDENTIFIED BY 'few'")
        connection.exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP ON {database}.* TO {database}@localhost")
    limited = owner.url.set(username=database, password="few").render_as_string(hide_password=False)
    try:
        with linked(f"sqlite:///{tmp_path / 'source.db'}", limited) as link:
            link.protocol = "2"
            link.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(9))")
            link.source.execute("INSERT INTO t VALUES (1, 'a'), (2, 'other'), (3, 'c')")
            with pytest.raises(SyncFailed, match="CREATE TEMPORARY TABLES on MySQL"):
                link.sync_one("t")
            assert link.target.rows("t") == [(1, "a"), (2, "b"), (3, "c")]
            link.assert_clean()
    finally:
        with owner.connect() as connection:
            connection.exec_driver_sql(f"DROP USER {database}@localhost")
        owner.dispose()


def test_a_failed_report_says_which_version_was_spoken(same: Link) -> None:
    """The report of a failure tells the version of the protocol, too."""
    same.protocol = "2"
    same.create("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    same.source.execute("ALTER TABLE t ADD COLUMN extra INTEGER")
    with pytest.raises(SyncFailed, match="extra") as failure:
        same.sync_one("t")
    assert [report.protocol for report in failure.value.reports] == [2]
