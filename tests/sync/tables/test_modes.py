"""Modes of tables: what each leaves in the target, on every engine and by both versions of the protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.sync import sync_tables, table_differs
from airflow_provider_sync.sync.tables.diff import diff_table
from airflow_provider_sync.sync.tables.doctor import diagnose_table
from tests.sync.link import Link
from tests.sync.tables.mode_tables import MODES, ROWS, copies, counts, source_rows


@pytest.mark.parametrize(
    "protocol",
    [
        pytest.param("1", marks=pytest.mark.quick_on("mariadb")),
        pytest.param("2", marks=pytest.mark.quick_on("sqlite", "mariadb", "postgresql")),
    ],
)
def test_what_each_mode_leaves(into: Link, protocol: str) -> None:
    """Inserted, changed, deleted and returning rows end as each mode promises, verified, and then unchanged."""
    into.protocol = protocol
    proof = "hash" if protocol == "1" else "digest"
    with copies(into) as targets:
        for mode in MODES:
            report = targets.sync(mode)
            assert (*counts(report), report.verified) == ("changed", ROWS, 0, 0, proof), mode
            report = targets.sync(mode)
            assert (*counts(report), report.verified, report.rows_received) == ("unchanged", 0, 0, 0, proof, 0), mode
        into.source.execute(
            "UPDATE t SET v = 'x' WHERE id IN (3, 4)", "DELETE FROM t WHERE id IN (5, 7)", "INSERT INTO t VALUES (900, 'new')"
        )
        expected = {"upsert": (1, 2, 0), "append": (1, 0, 0), "soft_delete": (1, 2, 2), "history": (1, 2, 2)}
        for mode in MODES:
            assert counts(targets.sync(mode)) == ("changed", *expected[mode]), mode
            assert counts(targets.sync(mode)) == ("unchanged", 0, 0, 0), mode
        into.source.execute(
            "INSERT INTO t VALUES (5, 'v5')", "INSERT INTO t VALUES (7, 'back')", "UPDATE t SET v = 'y' WHERE id = 3"
        )
        expected = {"upsert": (0, 2, 0), "append": (0, 0, 0), "soft_delete": (0, 3, 0), "history": (2, 1, 0)}
        for mode in MODES:
            report = targets.sync(mode)
            assert counts(report) == ("changed" if any(expected[mode]) else "unchanged", *expected[mode]), mode
            if mode in ("soft_delete", "history"):
                assert report.verified == proof, mode
        for mode in ("upsert", "soft_delete", "history"):
            assert targets.current(mode) == source_rows(into), mode
        assert targets.rows("append", "id < 8 OR id > 200") == [*((n, f"v{n}") for n in range(1, 8)), (900, "new")]
        assert not targets.rows("soft_delete", "deleted_at IS NOT NULL")
        flags = "SUM(CASE WHEN is_current THEN 1 ELSE 0 END)"
        versions = targets.rows("history", "id IN (3, 5) GROUP BY id, v", f"id, v, COUNT(*), {flags}")
        assert [tuple(map(str, row)) for row in versions] == [
            ("3", "v3", "1", "0"),
            ("3", "x", "1", "0"),
            ("3", "y", "1", "1"),
            ("5", "v5", "2", "1"),
        ]
    into.assert_clean()


def test_texts_as_keys(two_same: Link) -> None:
    """Text keys, which are partitioned by row hash, work in every mode."""
    with copies(two_same, "VARCHAR(20)") as targets:
        for mode in MODES:
            targets.sync(mode)
        two_same.source.execute(
            "UPDATE t SET v = 'x' WHERE id IN ('3', '4')", "DELETE FROM t WHERE id = '5'", "INSERT INTO t VALUES ('a', 'new')"
        )
        expected = {"upsert": (1, 2, 0), "append": (1, 0, 0), "soft_delete": (1, 2, 1), "history": (1, 2, 1)}
        for mode in MODES:
            assert counts(targets.sync(mode, dry_run=True)) == ("planned", *expected[mode]), mode
            report = targets.sync(mode)
            assert (*counts(report), report.verified) == ("changed", *expected[mode], "digest"), mode
            assert counts(targets.sync(mode)) == ("unchanged", 0, 0, 0), mode
            assert report.rows_received == sum(expected[mode][:2]), mode


def test_rows_that_stay_cost_digests_of_their_segments_only(two_same: Link) -> None:
    """Kept rows below the source's keys cost nothing, and among them one segment's digests."""
    with copies(two_same, rows=4_000) as targets:
        targets.sync("upsert")
        unchanged = targets.sync("upsert")
        two_same.source.execute("DELETE FROM t WHERE id <= 2000")
        report = targets.sync("upsert")
        assert (report.status, report.requests) == ("unchanged", unchanged.requests)
        assert report.bytes_received <= unchanged.bytes_received
        two_same.source.execute("DELETE FROM t WHERE id = 3000")
        report = targets.sync("upsert")
        assert (report.status, report.verified, report.rows_received) == ("unchanged", "digest", 0)
        assert report.requests == unchanged.requests + 1
        assert report.bytes_received < unchanged.bytes_received + 3_000
        assert len(targets.rows("upsert")) == 4_000


@pytest.mark.parametrize("mode", ["upsert", "append"])
def test_a_target_of_mostly_other_rows(two_same: Link, mode: str) -> None:
    """A target that lacks most rows and has others gets all missing rows, and keeps the others."""
    with copies(two_same, rows=2_000) as targets:
        two_same.target.execute(f"INSERT INTO {mode} VALUES (5, 'own'), (9000, 'own'), (-1, 'own')")
        report = targets.sync(mode)
        updated = int(mode == "upsert")
        assert (*counts(report), report.verified) == ("changed", 1_999, updated, 0, "digest")
        assert targets.rows(mode, "v = 'own'") == [(-1, "own"), *([] if updated else [(5, "own")]), (9000, "own")]
        assert counts(targets.sync(mode)) == ("unchanged", 0, 0, 0)


@pytest.mark.parametrize("mode", ["upsert", "append"])
def test_rows_that_stay_are_no_difference(two_same: Link, mode: str) -> None:
    """For sensors, ``diff`` and ``doctor``, rows that a mode keeps are no difference."""
    with copies(two_same) as targets:
        targets.sync(mode)
        two_same.source.execute("DELETE FROM t WHERE id IN (5, 7)")
        options, database = targets.options(mode), two_same.target.database
        assert not table_differs(targets.client, options, database)
        assert counts(diff_table(targets.client, options, database).report) == ("unchanged", 0, 0, 0)
        assert not diagnose_table(targets.client, options, database).differs
        two_same.source.execute("INSERT INTO t VALUES (7, 'v7'), (900, 'new')")
        assert table_differs(targets.client, options, database)
        diff = diff_table(targets.client, options, database)
        assert diff.changes is not None
        assert (counts(diff.report), diff.changes.inserted) == (("planned", 1, 0, 0), (("900",),))


@pytest.mark.quick_on("sqlite", "mysql", "postgresql")
def test_a_first_sync_makes_the_table(two_into: Link) -> None:
    """``create_table`` creates the columns of a mode, with the names from its options, and the key of a history."""
    two_into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    soft = {"table": "soft", "mode": "soft_delete", "deleted_at": "gone", "create_table": True}
    names = {"valid_from": "since", "valid_to": "until", "is_current": "now"}
    history = {"table": "versions", "mode": "history", **names, "create_table": True}
    for options in (soft, history):
        assert counts(two_into.sync_one("t", options)) == ("changed", 2, 0, 0)
        two_into.source.execute("DELETE FROM t WHERE id = 2")
        assert counts(two_into.sync_one("t", {**options, "max_deletes": "100%"})) == ("changed", 0, 0, 1)
        two_into.source.execute("INSERT INTO t VALUES (2, 'b')")
    assert [column.name for column in two_into.target.describe("soft").columns] == ["id", "v", "gone"]
    versions = two_into.target.describe("versions")
    assert [column.name for column in versions.columns] == ["id", "v", "since", "until", "now"]
    assert versions.primary_key == ("id", "since")


def test_a_table_that_was_mirrored(two_same: Link) -> None:
    """``upsert`` and ``append`` accept a former mirror, and ``soft_delete`` one with its column."""
    two_same.create("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))")
    two_same.source.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    two_same.sync_one("t")
    two_same.source.execute("DELETE FROM t WHERE id = 3")
    for mode in ("append", "upsert"):
        assert counts(two_same.sync_one("t", {"mode": mode})) == ("unchanged", 0, 0, 0)
    two_same.target.execute("ALTER TABLE t ADD COLUMN deleted_at {DATETIME}")
    assert counts(two_same.sync_one("t", {"mode": "soft_delete"})) == ("changed", 0, 0, 1)
    assert counts(two_same.sync_one("t", {"mode": "mirror"})) == ("changed", 0, 0, 1)
    assert two_same.target.rows("t") == [(1, "a", None), (2, "b", None)]


def test_several_modes_in_one_transaction(two_same: Link, tmp_path: Path) -> None:
    """Tables of different modes are merged together, and one failure leaves all as they were."""
    two_same.source.execute(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT)",
        "CREATE TABLE b (id INTEGER PRIMARY KEY, v TEXT)",
        "INSERT INTO a VALUES (1, 'a'), (2, 'b')",
        "INSERT INTO b VALUES (1, 'a'), (2, 'b')",
    )
    options = {
        "a": {"mode": "history", "create_table": True},
        "b": {"mode": "soft_delete", "create_table": True},
    }
    two_same.sync("a", "b", options=options)
    two_same.source.execute("DELETE FROM a WHERE id = 1", "UPDATE a SET v = 'c'", "DELETE FROM b")
    before = two_same.target.rows("a"), two_same.target.rows("b")
    with pytest.raises(SyncFailed, match="allow_empty_source"):
        two_same.sync("a", "b", options=options)
    assert (two_same.target.rows("a"), two_same.target.rows("b")) == before
    with two_same.client("a", "b") as client:
        tables = [table_from_options(name, {**given, "allow_empty_source": True}) for name, given in options.items()]
        reports = sync_tables(client, tables, two_same.target.database)
    assert [counts(report) for report in reports] == [("changed", 0, 1, 1), ("changed", 0, 0, 2)]
