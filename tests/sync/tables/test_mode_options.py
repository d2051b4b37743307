"""Modes together with other options: windows, steps, some of the columns, and ways of staging."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sync.sync.tables.version2 import batch_sizes
from tests.sync.link import Link
from tests.sync.tables.mode_tables import MODES, copies, counts, create_targets
from tests.sync.tables.test_steps import Steps


@pytest.mark.parametrize("mode", MODES)
def test_a_window(two_same: Link, mode: str) -> None:
    """Only rows of the window are inserted, changed and ended; a row that left it at the source is not gone."""
    with copies(two_same, windows=["v"]) as targets:
        targets.sync(mode)
        two_same.source.execute(
            "UPDATE t SET v = 'x' WHERE id = 56",  # leaves the window
            "UPDATE t SET v = 'v500' WHERE id = 1",  # enters it
            "DELETE FROM t WHERE id IN (2, 55)",  # outside, inside
            "INSERT INTO t VALUES (900, 'v555'), (901, 'a')",
        )
        report = targets.sync(mode, window=["v", "v5", "v6"])
        expected = {"upsert": (1, 2, 0), "append": (1, 0, 0), "soft_delete": (1, 2, 1), "history": (1, 2, 1)}
        assert counts(report) == ("changed", *expected[mode])
        assert counts(targets.sync(mode, window=["v", "v5", "v6"])) == ("unchanged", 0, 0, 0)
        assert (2, "v2") in targets.current(mode)
        assert (901, "a") not in targets.current(mode)


@pytest.mark.parametrize(("mode", "protocol"), [*((mode, "2") for mode in MODES), ("history", "1")])
def test_steps(same: Link, monkeypatch: pytest.MonkeyPatch, mode: str, protocol: str) -> None:
    """The steps have the same result as one task, and then find no difference, also with kept rows."""
    monkeypatch.setattr(batch_sizes, "TASK_ROWS", 100)
    same.protocol = protocol
    same.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))")
    same.source.execute(f"INSERT INTO t VALUES {', '.join(f'({n}, {n * 7})' for n in range(1, 401))}")
    create_targets(same)
    options = {"table": mode, "mode": mode}
    assert counts(Steps(same, options, slices=2, run_id="first").all()) == ("changed", 400, 0, 0)
    same.source.execute(
        "UPDATE t SET v = 'x' WHERE id IN (3, 344)", "DELETE FROM t WHERE id IN (5, 380)", "INSERT INTO t VALUES (999, 'new')"
    )
    expected = {"upsert": (1, 2, 0), "append": (1, 0, 0), "soft_delete": (1, 2, 2), "history": (1, 2, 2)}
    report = Steps(same, options, slices=2, run_id="second").all()
    assert counts(report) == ("changed", *expected[mode])
    if protocol == "2":
        assert report.verified == "digest"
        assert Steps(same, options, run_id="third").compare() == []
    same.assert_clean()


@pytest.mark.parametrize("mode", ["upsert", "append"])
def test_steps_that_fetch_all_rows(two_same: Link, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    """Slices for a target that lacks most rows fetch all rows of the source, and additional rows stay."""
    monkeypatch.setattr(batch_sizes, "TASK_ROWS", 100)
    with copies(two_same, rows=900) as targets:
        two_same.target.execute(f"INSERT INTO {mode} VALUES (5, 'own'), (7, 'v7'), (9000, 'own')")
        report = Steps(two_same, {"table": mode, "mode": mode}).all()
        assert (*counts(report), report.verified) == ("changed", 898, int(mode == "upsert"), 0, "digest")
        assert (9000, "own") in targets.rows(mode)


@pytest.mark.parametrize(
    "options",
    [
        {"renames": {"v": "label"}, "import_indexes": ["label"]},
        {"staging": "temporary"},
        {"primary": "id", "verify": False},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_that_go_together(two_same: Link, options: dict[str, Any]) -> None:
    """Columns, renames, staging, verification and key work in every mode; other columns of the target do not change."""
    label = "label" if "renames" in options else "v"
    given = {"columns": ["id", "v"], "max_deletes": 1, **options}
    expected = {"upsert": (1, 1, 0), "append": (1, 0, 0), "soft_delete": (1, 1, 1), "history": (1, 1, 1)}
    with copies(two_same, rows=2) as targets:
        two_same.source.execute("ALTER TABLE t ADD COLUMN w INTEGER")
        for mode in MODES:
            two_same.target.execute(f"ALTER TABLE {mode} RENAME COLUMN v TO {label}", f"ALTER TABLE {mode} ADD COLUMN note TEXT")
            assert counts(targets.sync(mode, **given)) == ("changed", 2, 0, 0)
            two_same.target.execute(f"UPDATE {mode} SET note = 'mine'")
        two_same.source.execute("UPDATE t SET v = 'c', w = 5 WHERE id = 1", "DELETE FROM t WHERE id = 2")
        two_same.source.execute("INSERT INTO t VALUES (3, 'd', 3)")
        for mode in MODES:
            assert counts(targets.sync(mode, **given)) == ("changed", *expected[mode])
            assert targets.rows(mode, "note = 'mine'", "COUNT(*)") == [(2,)]


def test_rows_with_references(two_into: Link) -> None:
    """A marked parent keeps its children, and versions refer to parents that stay."""
    if two_into.target.dialect == "duckdb":
        pytest.skip("foreign keys have no actions there")
    two_into.source.execute(
        "CREATE TABLE p (id INTEGER PRIMARY KEY, v VARCHAR(20))",
        "CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p (id))",
        "INSERT INTO p VALUES (1, 'a'), (2, 'b')",
        "INSERT INTO c VALUES (10, 1), (20, 2)",
    )
    two_into.target.execute(
        "CREATE TABLE p (id INTEGER PRIMARY KEY, v VARCHAR(20), deleted_at {DATETIME} NULL)",
        "CREATE TABLE c (id INTEGER NOT NULL, p INTEGER, valid_from {DATETIME} NOT NULL, valid_to {DATETIME} NULL,"
        " is_current BOOLEAN NOT NULL, PRIMARY KEY (id, valid_from), FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)",
    )
    options = {"p": {"mode": "soft_delete"}, "c": {"mode": "history"}}
    two_into.sync("p", "c", options=options)
    two_into.source.execute("DELETE FROM c WHERE id = 20", "DELETE FROM p WHERE id = 2", "INSERT INTO p VALUES (3, 'c')")
    two_into.source.execute("UPDATE c SET p = 3 WHERE id = 10")
    reports = two_into.sync("p", "c", options=options)
    assert [counts(report) for report in reports] == [("changed", 1, 0, 1), ("changed", 0, 1, 1)]
    assert not any(any(report.orphans.values()) for report in reports)
    assert two_into.target.scalar("SELECT COUNT(*) FROM c") == 3
    assert two_into.target.scalar("SELECT COUNT(*) FROM p") == 3
    assert [counts(report) for report in two_into.sync("p", "c", options=options)] == [("unchanged", 0, 0, 0)] * 2


def test_a_new_column(two_same: Link) -> None:
    """A column from ``on_schema_change`` begins a version of each row with a value in it; ended rows do not change."""
    with copies(two_same, rows=4) as targets:
        for mode in ("history", "soft_delete"):
            targets.sync(mode)
        two_same.source.execute("DELETE FROM t WHERE id = 4")
        for mode in ("history", "soft_delete"):
            targets.sync(mode)
        two_same.source.execute("ALTER TABLE t ADD COLUMN w VARCHAR(20)", "UPDATE t SET w = 'w' WHERE id < 3")
        for mode in ("history", "soft_delete"):
            report = targets.sync(mode, on_schema_change="add")
            assert (*counts(report), len(report.schema_changes)) == ("changed", 0, 2, 0, 1)
            assert counts(targets.sync(mode)) == ("unchanged", 0, 0, 0)
        assert targets.rows("history", "id > 1", "id, w") == [(2, None), (2, "w"), (3, None), (4, None)]
        assert targets.rows("soft_delete", "id > 1", "id, w") == [(2, "w"), (3, None), (4, None)]
